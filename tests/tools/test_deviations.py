"""What was foretold beside what came out."""

from pathlib import Path

import pytest

from agent.summaries import summary
from analyzers.records import Forecast, Forecasts, Measurement, Run
from tests.sample_runs import export_run, train_run
from tools.deviations import deviations, line

TIME = Forecast(value=150.0, n=2, runs=("train-aaaaaa", "train-bbbbbb"), basis="examples x parameters")
LEAST = Forecast(value=300.0, n=0, runs=(), basis="4 bytes x parameters: the weights", at_least=True)
FORETOLD = Forecasts(seconds=TIME, memory_mb=LEAST, unknown={"disk_mb": "no such step has finished on this home yet"})


def told(**changes: object) -> Run:
    return train_run(foretold=FORETOLD, peak_mb=600.0, **changes)


def test_each_quantity_stands_beside_its_forecast() -> None:
    time, memory, disk = deviations(told())
    assert (time.foretold, time.took, time.times) == (150.0, 183.5, pytest.approx(183.5 / 150))
    assert time.source == "examples x parameters; 2 earlier runs"
    assert (memory.foretold, memory.took, memory.times, memory.at_least) == (300.0, 600.0, 2.0, True)
    assert (disk.foretold, disk.took, disk.times) == (None, 90.9, None)
    assert disk.source == "no such step has finished on this home yet"


def test_a_line_tells_what_was_known() -> None:
    assert line(told()) == (
        "time 3:04, foretold 2:30 (1.22 times that); memory 600.0 MB, foretold at least 300.0 MB (2.00 times that)"
    )
    assert "took    time 3:04, foretold 2:30" in summary(told())


def test_files_of_an_export_lie_elsewhere() -> None:
    *_, disk = deviations(export_run(foretold=FORETOLD))
    assert disk.took == 74.2


def test_a_first_batch_of_an_analysis_is_a_forecast_too() -> None:
    def spent(subject: str, value: float) -> Measurement:
        return Measurement(name="seconds", subject=subject, value=value, unit="s")

    run = train_run(measurements=[spent("expected", 100.0), spent("measured", 125.0)])
    (found,) = deviations(run)
    assert (found.source, found.times) == ("a timed first batch", 1.25)
    assert line(run) == "time 2:05, foretold 1:40 by a first batch (1.25 times that)"


@pytest.mark.parametrize("run", [train_run(), told(status="failed"), told(status="cancelled")])
def test_old_and_unfinished_runs_have_none(run: Run) -> None:
    assert deviations(run) == []
    assert "took    " not in summary(run)


def test_an_old_record_is_read_as_it_is(tmp_path: Path) -> None:
    old = train_run().model_dump(mode="json")
    del old["foretold"], old["peak_mb"]
    for split in old["splits"].values():
        del split["classes"], split["lengths"]
    assert Run.model_validate(old) == train_run()
