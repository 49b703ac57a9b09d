"""JSON Lines: one object a line."""

import json
from pathlib import Path
from typing import Any

from analyzers.datasets import Dataset, source
from analyzers.datasets.tabular import COLUMN_OPTIONS, not_utf8, to_dataset
from analyzers.errors import DataError
from analyzers.progress import Progress
from analyzers.references import DataReference, existing_file


@source("jsonl", form="jsonl:PATH", title="a JSON Lines file", check=existing_file, options=COLUMN_OPTIONS)
def read(reference: DataReference, cache: Path, progress: Progress, labelled: bool) -> Dataset:  # noqa: ARG001
    """Lines that are empty are skipped; keys that a line does not have are empty there.

    Raises:
        DataError: not UTF-8, or a line that is not a JSON object.
        UnknownColumn: see `tabular.to_dataset`.
    """
    path = Path(reference.value)
    rows = list(_rows(path))
    names = dict.fromkeys(name for row in rows for name in row)  # in the order of appearance
    return to_dataset({name: [row.get(name) for row in rows] for name in names}, reference, labelled, progress)


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    rows.append(_row(line, number, path))
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from None
    return rows


def _row(line: str, number: int, path: Path) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep"
        raise DataError(f"line {number} of {path} is not JSON ({reason}); mend or remove that line") from None
    if not isinstance(row, dict):
        raise DataError(f'line {number} of {path} is not an object; write one {{"text": ..., "label": ...}} a line')
    return row
