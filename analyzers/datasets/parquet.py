"""Parquet files."""

from pathlib import Path

from analyzers.datasets import Dataset, source
from analyzers.datasets.tabular import COLUMN_OPTIONS, to_dataset
from analyzers.errors import DataError
from analyzers.progress import Progress
from analyzers.references import DataReference, existing_file


@source("parquet", form="parquet:PATH", title="a Parquet file", check=existing_file, options=COLUMN_OPTIONS)
def read(reference: DataReference, cache: Path, progress: Progress, labelled: bool) -> Dataset:  # noqa: ARG001
    """Columns that hold neither text nor numbers are not read.

    Raises:
        DataError: not a Parquet file, or a damaged one.
        UnknownColumn: see `tabular.to_dataset`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(reference.value)
    try:
        schema = pq.read_schema(path)
        columns = [field.name for field in schema if not pa.types.is_nested(field.type)]
        table = pq.read_table(path, columns=columns)
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} cannot be read as Parquet: {reason}; write it again") from None
    return to_dataset({name: table[name].to_pylist() for name in columns}, reference, labelled, progress)
