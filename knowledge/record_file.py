"""Reading `record.json`."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from analyzers.errors import DamagedRecord
from analyzers.records import Run


def parsed(path: Path) -> dict[str, Any]:
    """The fields of a record, not validated.

    Raises:
        FileNotFoundError: there is no record.
        DamagedRecord: it is not JSON, or cannot be read.
    """
    try:
        fields = from_json(path.read_bytes())  # three times as fast as json
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as problem:
        raise DamagedRecord(f"{_what(path)} cannot be read ({problem}); {_way_out(path)}") from None
    if not isinstance(fields, dict):
        raise DamagedRecord(f"{_what(path)} is not a record; {_way_out(path)}")
    return fields


def validated(fields: dict[str, Any], path: Path) -> Run:
    """The run that the fields describe.

    Raises:
        DamagedRecord: they are not those of a run, or of another run than the folder's.
    """
    try:
        run = Run.model_validate(fields)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(map(str, first["loc"])) or "record"
        raise DamagedRecord(
            f"{_what(path)} is damaged or of a newer version ({where}: {first['msg']}); {_way_out(path)}"
        ) from None
    if run.id != path.parent.name:
        raise DamagedRecord(f"{_what(path)} is that of {run.id}; {_way_out(path)}")
    return run


def _what(path: Path) -> str:
    return f"the record of {path.parent.name} in {path}"


def _way_out(path: Path) -> str:
    return f"update Layerwise, or remove it: layerwise runs delete {path.parent.name}"
