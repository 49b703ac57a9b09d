"""From a table to examples: which column is the text, which the label, which says what belongs together."""

import codecs
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analyzers.datasets import Dataset, Example
from analyzers.errors import DataError, NoLabels, UnknownColumn
from analyzers.progress import Progress
from analyzers.references import DataReference

COLUMN_OPTIONS = ("text", "label", "group")
MAX_CLASSES = 100

# Common names, the most telling first.
TEXT_NAMES = (
    "text",
    "review",
    "review_text",
    "reviewtext",
    "review_body",
    "sentence",
    "content",
    "body",
    "comment",
    "message",
    "tweet",
    "document",
    "snippet",
    "passage",
    "utterance",
    "question",
    "description",
)
LABEL_NAMES = (
    "label",
    "labels",
    "sentiment",
    "rating",
    "ratings",
    "stars",
    "star_rating",
    "overall",
    "score",
    "class",
    "category",
    "target",
    "polarity",
    "emotion",
    "topic",
    "intent",
    "y",
)
GROUP_NAMES = ("group", "group_id", "review_id", "document_id", "doc_id")

_PART_OF = re.compile(r"(.+)_\d+")  # 12_3: the third sentence of text 12
_MIN_GROUPS = 3  # one for each split
_MIN_PREFIXES = 10  # fewer are more likely a common prefix (row_1, row_2) than groups

Table = Mapping[str, Sequence[Any]]  # column name -> values


def to_dataset(table: Table, reference: DataReference, labelled: bool, progress: Progress) -> Dataset:
    """The examples of a table; rows without a text, or without a label where one is needed, are left out.

    Raises:
        DataError: no rows, no texts, one class, or a label column with too many classes.
        NoLabels: no column looks like a label.
        UnknownColumn: a named column does not exist, or several columns may be the text or the label.
    """
    rows = len(next(iter(table.values()), ()))
    if not rows:
        raise DataError(f"{reference.text} has no rows; give a data set with at least a few dozen")
    columns = {name: [_clean(value) for value in values] for name, values in table.items()}
    for named in (reference.text_column, reference.label_column, reference.group_column):
        if named is not None and named not in columns:
            raise UnknownColumn(f"no column {named!r} in {reference.text}; there are: {_names(columns)}")
    label_column = reference.label_column or _common(columns, LABEL_NAMES, {reference.text_column})
    text_column = reference.text_column or _find_text(columns, {label_column, reference.group_column}, reference)
    if labelled and label_column is None:
        label_column = _find_label(columns, {text_column, reference.group_column}, reference)
    group_column, groups = _find_groups(columns, {text_column, label_column}, reference)

    texts = columns[text_column]
    kept = [row for row in range(rows) if texts[row]]
    _say_dropped(rows - len(kept), f"an empty {text_column!r}", progress)
    if not kept:
        raise DataError(
            f"all texts of {reference.text} are empty in column {text_column!r}; there are: {_names(columns)}"
        )
    names: tuple[str, ...] = ()
    label_of: dict[str, int] = {}
    labels = columns[label_column] if labelled and label_column else [""] * rows
    if labelled:
        with_label = [row for row in kept if labels[row]]
        _say_dropped(len(kept) - len(with_label), f"no {label_column!r}", progress)
        kept = with_label
        names = class_names({labels[row] for row in kept})
        if len(names) > MAX_CLASSES:
            raise DataError(
                f"column {label_column!r} of {reference.text} has {len(names):,} different values, which is no label "
                f"(at most {MAX_CLASSES}); name another with ?label=COLUMN; there are: {_names(columns)}"
            )
        label_of = {name: index for index, name in enumerate(names)}
    examples = tuple(
        Example(
            texts[row], label_of[labels[row]] if labelled else None, groups[row] if groups else text_key(texts[row])
        )
        for row in kept
    )
    used = f"text {text_column!r}" + (f", label {label_column!r}" if labelled else "")
    progress.say(f"{reference.text}: {len(examples):,} examples; {used}" + (f", by {group_column!r}" if groups else ""))
    return Dataset(examples, names, reference.text)


def class_names(values: set[str]) -> tuple[str, ...]:
    """The classes in a fixed order: by number where all are numbers, else by name."""
    try:
        return tuple(sorted(values, key=lambda value: (float(value), value)))
    except ValueError:
        return tuple(sorted(values))


def text_key(text: str) -> str:
    """A short key of a text: copies of one text form one group, or the test split leaks."""
    return hashlib.sha256(" ".join(text.lower().split()).encode()).hexdigest()[:16]


def not_utf8(path: Path, error: UnicodeDecodeError) -> DataError:
    wide = bytes(error.object[:2]) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    which = "utf-16" if wide else "ENCODING"
    hint = "" if wide else ", with the encoding that it was saved in, such as latin1, windows-1252 or gbk"
    return DataError(
        f"{path} is not UTF-8 (byte 0x{error.object[error.start]:02x}); convert it first: "
        f"iconv -f {which} -t utf-8 OLD > NEW{hint}"
    )


def _clean(value: Any) -> str:
    """A cell as text; what is missing is empty, and 1.0 is the class 1."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) and float(value).is_integer():
        return str(int(value))
    text = str(value).strip()
    if re.fullmatch(r"-?\d+\.0+", text):
        return text.partition(".")[0]
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair, which JSON allows, is no text


def _names(columns: Mapping[str, Any]) -> str:
    return ", ".join(columns)


def _say_dropped(count: int, why: str, progress: Progress) -> None:
    if count:
        progress.say(f"left out {count:,} {'row' if count == 1 else 'rows'} with {why}")


def _common(columns: Mapping[str, Sequence[str]], names: Sequence[str], taken: set[str | None]) -> str | None:
    free = {re.sub(r"[ -]", "_", column.strip().lower()): column for column in columns if column not in taken}
    return next((free[name] for name in names if name in free), None)


def _find_text(columns: Mapping[str, list[str]], taken: set[str | None], reference: DataReference) -> str:
    common = _common(columns, TEXT_NAMES, taken)
    if common is not None:
        return common
    candidates = [name for name in columns if name not in taken and _looks_like_text(columns[name])]
    if len(candidates) == 1:
        return candidates[0]
    which = "several columns" if candidates else "no column"
    raise UnknownColumn(
        f"{which} of {reference.text} could be the text; name it with ?text=COLUMN; there are: {_names(columns)}"
    )


def _looks_like_text(values: list[str]) -> bool:
    filled = [value for value in values if value]
    return bool(filled) and sum(" " in value for value in filled) * 2 > len(filled)


def _find_label(columns: Mapping[str, list[str]], taken: set[str | None], reference: DataReference) -> str:
    candidates = []
    for name, values in columns.items():
        distinct = len({value for value in values if value})
        if name not in taken and 2 <= distinct <= min(20, len(values) / 2):
            candidates.append(name)
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise UnknownColumn(
            f"several columns of {reference.text} could be the label: {', '.join(candidates)}; "
            "name it with ?label=COLUMN"
        )
    raise NoLabels(
        f"no column of {reference.text} looks like a label; name it with ?label=COLUMN; there are: {_names(columns)}"
    )


def _find_groups(
    columns: Mapping[str, list[str]], taken: set[str | None], reference: DataReference
) -> tuple[str | None, list[str]]:
    """The column of the groups and the group of each row; nothing if no column groups."""
    if reference.group_column is not None:
        return reference.group_column, _filled(columns[reference.group_column])
    column = _common(columns, GROUP_NAMES, taken)
    if column is not None:
        groups = _filled(columns[column])
        if _MIN_GROUPS <= len(set(groups)) < len(groups):
            return column, groups
    column = _common(columns, ("id", "sentence_id", *GROUP_NAMES), taken)
    if column is not None:
        parts = [_PART_OF.fullmatch(value) for value in columns[column]]
        prefixes = [part[1] for part in parts if part]
        if len(prefixes) == len(parts) and _MIN_PREFIXES <= len(set(prefixes)) < len(prefixes):
            return column, prefixes
    return None, []


def _filled(groups: list[str]) -> list[str]:
    """Rows without a group are groups of their own."""
    return [group or f"row {row}" for row, group in enumerate(groups)]
