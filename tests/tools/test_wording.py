import pytest

from analyzers.records import Estimate, Measurement
from tools.wording import count, duration, interval, layers, number, significant, size, title, with_interval


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.281, "0.281"),
        (6.1, "6.10"),
        (164, "164"),
        (999.9, "1,000"),
        (12345.6, "12,346"),
        (3.1e-7, "3.10e-07"),
        (-0.0123, "-0.0123"),
        (5e8, "5.00e+08"),
        (0.9999, "1.00"),
    ],
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert significant(value) == text


@pytest.mark.parametrize(
    ("indexes", "text"),
    [([], "none"), ([3], "3"), ([1, 2], "1, 2"), ([3, 1, 2], "1-3"), ([0, 2, 3, 4, 7], "0, 2-4, 7")],
)
def test_layers(indexes: list[int], text: str) -> None:
    assert layers(indexes) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.44, "0.4 s"), (12.3, "12 s"), (184, "3:04"), (3723, "1:02:03"), (59.7, "60 s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_numbers_with_units() -> None:
    assert number(0.899, "accuracy") == "89.9 %"
    assert number(22_700_000, "parameters") == "22.7 M"
    assert number(6.1, "latency_ms", "ms") == "6.10 ms"
    assert (count(455), count(1490), count(1.2e9)) == ("455", "1,490", "1.2 G")
    assert (size(812), size(69_600_000)) == ("812 B", "69.6 MB")


def test_names_in_plain_words() -> None:
    names = ["fisher", "cka", "attention_entropy", "spectral", "taylor", "block_influence", "latency_ms"]
    assert [title(name) for name in names] == [
        "Fisher", "CKA change", "attention focus", "stable rank", "Taylor importance", "block influence", "latency",
    ]  # fmt: skip


def test_intervals() -> None:
    assert interval(0.871, 0.925, "accuracy") == "87.1 to 92.5"
    assert interval(None, 0.9) == ""
    found = Measurement(name="accuracy", subject="dense", value=0.899, low=0.871, high=0.925)
    assert with_interval(found) == "89.9 % (87.1 to 92.5)"
    assert with_interval(Estimate(value=6.1), unit="ms") == "6.10 ms"
