"""Pictures of a data set."""

from analyzers.datasets import Dataset, Example
from analyzers.datasets.preview import look_at
from tools.figures import pictures_of_data

TEXTS = ["a", "bb", "bb", "cccc"]


def dataset(labels: tuple[str, ...]) -> Dataset:
    examples = [Example(text, place % 2 if labels else None, str(place)) for place, text in enumerate(TEXTS * 5)]
    return Dataset(tuple(examples), labels, "csv:a.csv")


def test_classes_and_lengths():
    classes, lengths = pictures_of_data(look_at(dataset(("<b>no</b>", "yes")), []))
    assert list(classes.figure.data[0].y) == ["yes", "&lt;b>no&lt;/b>"]  # plotly reads markup in names
    assert list(classes.figure.data[0].x) == [10, 10]
    assert classes.table.rows[0] == ["<b>no</b>", "10", "50.0%"]
    assert list(lengths.figure.data[0].y) == [0, 5, 10, 5]
    assert list(lengths.figure.data[0].x) == [0.5, 1.5, 2.5, 3.5]
    assert lengths.table.rows[:2] == [["shortest", "1"], ["median", "2"]]
    assert lengths.table.rows[-1] == ["longer texts", "0"]


def test_without_labels_there_are_no_classes():
    assert [picture.name for picture in pictures_of_data(look_at(dataset(()), []))] == ["lengths"]


def test_a_class_with_a_long_name_is_cut():
    found = pictures_of_data(look_at(dataset(("x" * 80, "yes")), []))[0]
    assert len(found.figure.data[0].y[1]) == 30
    assert found.table.rows[0][0] == "x" * 80
