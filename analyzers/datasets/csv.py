"""CSV files, with a header line."""

from pathlib import Path

from analyzers.datasets import Dataset, source
from analyzers.datasets.tabular import COLUMN_OPTIONS, not_utf8, to_dataset
from analyzers.errors import DataError
from analyzers.progress import Progress
from analyzers.references import DataReference, existing_file


@source("csv", form="csv:PATH", title="a CSV file", check=existing_file, options=COLUMN_OPTIONS)
def read(reference: DataReference, cache: Path, progress: Progress, labelled: bool) -> Dataset:  # noqa: ARG001
    """Separated by the comma, or by the semicolon or tab where the header has no comma.

    Raises:
        DataError: not UTF-8, no header, or rows of different lengths.
        UnknownColumn: see `tabular.to_dataset`.
    """
    import pandas as pd

    path = Path(reference.value)
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline()
        separator = next((each for each in ",;\t|" if each in header), ",")
        # Everything as text: a label "NA" is a label, and 007 is not 7.
        frame = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from None
    except pd.errors.EmptyDataError:
        raise DataError(f"{path} has no rows; give a CSV file with a header and at least a few dozen rows") from None
    except pd.errors.ParserError as error:
        reason = str(error).strip().rpartition("C error: ")[2]
        raise DataError(f"{path} is not a CSV file: {reason}; quote texts that contain the separator") from None
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes surplus fields for an index, without a word
        raise DataError(f"{path} has rows with more fields than its header; quote texts that contain {separator!r}")
    return to_dataset({str(name): frame[name].tolist() for name in frame.columns}, reference, labelled, progress)
