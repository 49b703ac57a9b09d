"""Names of models and data, as they are written on a command line.

A reference holds everything that is needed to open the same thing again, the names of the columns included, so the
command in a run's record reproduces the run.
"""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import parse_qsl, quote

from analyzers.errors import UnknownData, UnknownModel
from analyzers.records import Kind, Record

DEMO_MODELS = {
    "minilm": "MiniLM: encoder, 6 layers, 22 M parameters, Apache-2.0",
    "smollm2": "SmolLM2 Instruct: LLaMA family, 30 layers, 135 M parameters, Apache-2.0",
}

MODEL_FORMS = (
    "demo:minilm",
    "demo:smollm2",
    "a Hugging Face id (org/name)",
    "a local folder (./folder)",
    "gguf:PATH",
    "a run id (train-k3v9qd)",
)

_RUN_ID = re.compile(rf"({'|'.join(get_args(Kind))})-[a-z0-9]+")
_HUB_ID = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?", re.ASCII)
_OPTIONS = {"text": "text_column", "label": "label_column", "group": "group_column", "config": "config"}


class ModelReference(Record):
    kind: Literal["demo", "hub", "folder", "gguf", "run"]
    value: str  # without the prefix: minilm, org/name, a path, a run id
    text: str  # as it was given


class DataReference(Record):
    kind: str  # one of analyzers.datasets.sources(): demo amazon csv jsonl parquet hf ...
    value: str  # without prefix and options: amazon, Electronics, a path, org/name
    text_column: str | None = None
    label_column: str | None = None
    group_column: str | None = None  # rows of one group are never divided between splits
    config: str | None = None  # which configuration of a hub data set
    text: str  # as it was given


def parse_model(text: str) -> ModelReference:
    """Read the name of a model.

    A run id is only read here, not looked up. A hub id is only checked for its form.

    Raises:
        UnknownModel: nothing of that name can be a model.
    """
    text = text.strip()
    if not text:
        raise UnknownModel(f"no model was named; allowed are: {', '.join(MODEL_FORMS)}")
    prefix, colon, rest = text.partition(":")
    if colon and prefix == "demo":
        if rest not in DEMO_MODELS:
            raise UnknownModel(
                f"no demo model {rest!r}{_did_you_mean(rest, DEMO_MODELS, 'demo:')}; "
                f"there are: {', '.join(f'demo:{name}' for name in DEMO_MODELS)}"
            )
        return ModelReference(kind="demo", value=rest, text=text)
    if colon and prefix == "gguf":
        path = Path(rest).expanduser()
        if not rest or not path.is_file():
            raise UnknownModel(f"no file {rest!r}{_near_file(path)}; give the path of a GGUF file: gguf:PATH")
        return ModelReference(kind="gguf", value=str(path), text=text)
    if _RUN_ID.fullmatch(text):
        return ModelReference(kind="run", value=text, text=text)
    path = Path(text).expanduser()
    if path.is_dir():
        return ModelReference(kind="folder", value=str(path), text=text)
    if path.is_file():
        hint = f"write gguf:{text}" if path.suffix == ".gguf" else "name the folder that holds config.json"
        raise UnknownModel(f"{text!r} is a file, not the folder of a model; {hint}")
    if text.startswith(("/", "./", "../", "~")):
        raise UnknownModel(f"no folder {text!r}{_near_file(path)}; allowed are: {', '.join(MODEL_FORMS)}")
    if text.lower() in DEMO_MODELS:
        raise UnknownModel(f"no model {text!r}; did you mean demo:{text.lower()}?")
    if not is_hub_id(text):
        raise UnknownModel(f"no model {text!r}; allowed are: {', '.join(MODEL_FORMS)}")
    return ModelReference(kind="hub", value=text, text=text)


def parse_data(text: str) -> DataReference:
    """Read the name of a data set; `csv:PATH?text=body&label=stars&group=review_id` also names its columns.

    Raises:
        UnknownData: no source of that kind, no such set, no such file, or an option that no source has.
    """
    from analyzers.datasets import sources

    text = text.strip()
    known = {source.kind: source for source in sources()}
    forms = ", ".join(source.form for source in known.values())
    if not text:
        raise UnknownData(f"no data set was named; allowed are: {forms}")
    prefix, colon, rest = text.partition(":")
    if not colon or prefix not in known:
        raise UnknownData(f"no data set {text!r}{_meant(text, prefix, list(known))}; allowed are: {forms}")
    source = known[prefix]
    # A file may have a question mark in its name.
    value, _, query = (rest, "", "") if Path(rest).expanduser().is_file() else rest.partition("?")
    options = _options(query, source.options, text)
    return DataReference(kind=prefix, value=source.check(value), text=text, **options)


def with_columns(data: str, text: str | None, label: str | None) -> str:
    """The data reference with the columns in it, so that it is complete wherever it is written down."""
    named = [f"{name}={quote(value)}" for name, value in (("text", text), ("label", label)) if value]
    return data + ("&" if "?" in data else "?") + "&".join(named) if named else data


def is_hub_id(text: str) -> bool:
    """Whether the text has the form of a Hugging Face id: `org/name` or a bare name."""
    return bool(_HUB_ID.fullmatch(text)) and ".." not in text and "--" not in text and text.strip("-.") == text


def existing_file(value: str) -> str:
    """The path of a data file, `~` expanded.

    Raises:
        UnknownData: there is no such file.
    """
    path = Path(value).expanduser()
    if value and path.is_dir():
        raise UnknownData(f"{value!r} is a folder; name one file in it")
    if not value or not path.is_file():
        raise UnknownData(f"no file {value!r}{_near_file(path)}; give the path of a file that exists")
    return str(path)


def one_of(value: str, allowed: Iterable[str], prefix: str) -> str:
    """The allowed name that was meant, whatever its case.

    Raises:
        UnknownData: the name is not among them.
    """
    by_lower = {name.lower(): name for name in allowed}
    if value.lower() not in by_lower:
        names = [prefix + name for name in by_lower.values()]
        listed = ", ".join(names) if len(names) < 10 else f"{len(names)}, such as {', '.join(names[:5])}"
        raise UnknownData(
            f"no data set '{prefix}{value}'{_did_you_mean(value, by_lower.values(), prefix)}; there are: {listed}"
        )
    return by_lower[value.lower()]


def _options(query: str, allowed: tuple[str, ...], text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in allowed or not value:
            names = ", ".join(f"{option}=..." for option in allowed) or "none"
            raise UnknownData(f"{text!r} has the option '{name}={value}'; allowed after the question mark: {names}")
        found[_OPTIONS[name]] = value
    return found


def _meant(text: str, prefix: str, kinds: list[str]) -> str:
    if ":" in text:
        return _did_you_mean(prefix, kinds, "", ":" + text.partition(":")[2])
    ending = Path(text.partition("?")[0]).suffix.lstrip(".").lower()
    if ending in kinds:
        return f" (did you mean {ending}:{text}?)"
    from analyzers.datasets.demo import DEMO_SETS

    return _did_you_mean(text, DEMO_SETS, "demo:")


def _did_you_mean(name: str, allowed: Iterable[str], prefix: str = "", ending: str = "") -> str:
    by_lower = {each.lower(): each for each in allowed}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean {prefix}{by_lower[near[0]]}{ending}?)" if near else ""


def _near_file(path: Path) -> str:
    """Files of the same folder with a similar name, as part of a message."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f" (did you mean {path.parent / near[0]}?)" if near else ""
