"""Data sets of the Hugging Face hub."""

from pathlib import Path
from typing import Any

from analyzers.datasets import Dataset, source
from analyzers.datasets.tabular import COLUMN_OPTIONS, to_dataset
from analyzers.errors import AssetUnavailable, DataError, UnknownData
from analyzers.progress import Progress
from analyzers.references import DataReference, is_hub_id


def _hub_id(value: str) -> str:
    if not is_hub_id(value):
        raise UnknownData(f"'hf:{value}' is no name of a data set on the hub; write hf:NAME or hf:ORG/NAME")
    return value


@source(
    "hf", form="hf:NAME", title="a data set of the Hugging Face hub", check=_hub_id, options=(*COLUMN_OPTIONS, "config")
)
def read(reference: DataReference, cache: Path, progress: Progress, labelled: bool) -> Dataset:
    """The part `train`, or the only part; code of the data set is never run.

    Raises:
        AssetUnavailable: the hub is not in reach and the data set not in the cache.
        DataError: the data set has several parts and none is called train.
        UnknownColumn: see `tabular.to_dataset`.
        UnknownData: the hub has no such data set or configuration.
    """
    parts = _download(reference, cache, progress)
    if "train" not in parts and len(parts) > 1:
        raise DataError(f"{reference.text} has the parts {', '.join(parts)} and none called train; use parquet:PATH")
    part = parts["train"] if "train" in parts else next(iter(parts.values()))
    table = {}
    for name, feature in part.features.items():
        if hasattr(feature, "int2str"):  # a ClassLabel; -1 stands for no label
            table[name] = [None if value is None or value < 0 else feature.int2str(value) for value in part[name]]
        elif getattr(feature, "dtype", None) in ("string", "large_string", "bool") or _is_number(feature):
            table[name] = list(part[name])
    return to_dataset(table, reference, labelled, progress)


def _is_number(feature: Any) -> bool:
    return str(getattr(feature, "dtype", "")).startswith(("int", "uint", "float"))


def _download(reference: DataReference, cache: Path, progress: Progress) -> Any:
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError, RepositoryNotFoundError  # type: ignore[attr-defined]

    progress.say(f"reading {reference.value} from the hub")
    try:
        HfApi().dataset_info(reference.value, timeout=15)  # fails at once where load_dataset tries for half a minute
    except RepositoryNotFoundError:
        raise UnknownData(f"no data set {reference.text!r} on the hub, or it is not public; look it up there") from None
    except (HTTPError, OSError):
        if not _cached(reference.value, cache):
            raise _out_of_reach(reference) from None
    try:
        return load_dataset(
            reference.value,
            reference.config,
            cache_dir=str(cache / "hub"),
        )
    except (DatasetNotFoundError, ConnectionError, HTTPError) as error:
        raise _out_of_reach(reference) from error
    except ValueError as error:  # among others: a configuration is missing or unknown
        raise UnknownData(f"{reference.text}: {' '.join(str(error).split())[:300]}") from None
    except (RuntimeError, OSError) as error:
        raise DataError(f"{reference.text} cannot be read: {' '.join(str(error).split())[:300]}") from None


def _cached(name: str, cache: Path) -> bool:
    """Whether the data set was read before; the library spells the folder in its own way."""
    wanted = name.replace("/", "").replace("_", "").lower()
    return any(folder.name.replace("_", "").lower() == wanted for folder in (cache / "hub").glob("*"))


def _out_of_reach(reference: DataReference) -> AssetUnavailable:
    return AssetUnavailable(
        f"the hub is not in reach for {reference.text}; fetch the data set elsewhere as one file, put it here, "
        "and name it as parquet:PATH, jsonl:PATH or csv:PATH"
    )
