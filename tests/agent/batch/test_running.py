"""Order, gates, history, and what is left out; all through the command line."""

import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from agent.cli import main
from analyzers.errors import Cancelled, DataError
from analyzers.progress import Progress
from tests.agent.batch.conftest import statuses, steps
from tests.fake_workflows import FakeWorkflows
from tools.unchanged import Changes


def test_from_the_first_step_to_the_report(batch: Callable[..., Result], workflows: FakeWorkflows, tmp_path: Path):
    result = batch("--json", "--junit", "out.xml")
    assert statuses(result) == dict.fromkeys(["train", "analyze", "plan", "compress", "report"], "done")
    assert workflows.names == ["train", "analyze", "plan", "compress"]
    assert workflows.asked[2][1].analysis == "analysis-3b3b3b"
    document = json.loads(result.stdout)
    assert (document["name"], document["status"]) == ("nightly", "done")
    compress = steps(result)["compress"]
    assert compress["command"] == "layerwise compress plan-4c4c4c --seed 0"
    assert [gate["holds"] for gate in compress["gates"]] == [True, True]
    assert (tmp_path / "all.md").read_text() == "a report"
    assert workflows.told.startswith("Of the 6 layers of train-2a2a2a, 3 were removed for good")
    assert "[4/5] compress: layerwise compress plan-4c4c4c --seed 0" in result.stderr
    suite = ElementTree.parse(tmp_path / "out.xml").getroot()
    assert suite.attrib["tests"] == "5"
    assert suite.attrib["failures"] == suite.attrib["errors"] == suite.attrib["skipped"] == "0"
    assert "run train-2a2a2a" in str(suite.find(".//testcase[@name='train']/system-out").text)


def test_people_see_a_table(batch: Callable[..., Result]):
    lines = batch().stdout.splitlines()
    assert lines[0].split() == ["step", "status", "took", "run", "what", "came", "out"]
    assert lines[1].split()[:2] == ["train", "done"]
    assert any(line.startswith("train: holds: test_accuracy >= 0.5 (test_accuracy is 0.") for line in lines)
    assert lines[-1].startswith("nightly: done, 5 of 5 steps in ")


def test_a_gate_that_does_not_hold_fails_the_batch(batch: Callable[..., Result], tmp_path: Path):
    result = batch("--set", "floor=0.99", "--json", "--junit", "out.xml", code=1)
    assert statuses(result) == {
        "train": "failed",
        **dict.fromkeys(["analyze", "plan", "compress", "report"], "skipped"),
    }
    assert "test_accuracy >= 0.99 does not hold: test_accuracy is 0." in steps(result)["train"]["message"]
    assert steps(result)["train"]["run"] == "train-2a2a2a"  # what was made is kept
    assert steps(result)["plan"]["message"] == "train failed"
    suite = ElementTree.parse(tmp_path / "out.xml").getroot()
    assert [suite.attrib[name] for name in ("failures", "errors", "skipped")] == ["1", "0", "4"]
    assert suite.find(".//failure").attrib["type"] == "gate"
    assert "does NOT hold" in batch("--set", "floor=0.99", code=1).stdout


def test_a_step_that_fails_halfway_and_what_is_done_the_next_time(
    batch: Callable[..., Result], workflows: FakeWorkflows, unchanged: list[Changes], tmp_path: Path
):
    def fails(_: Progress) -> None:
        raise DataError("half of the file is gone")

    workflows.before["plan"] = fails
    result = batch("--json", "--junit", "out.xml", code=1)
    assert list(statuses(result).values()) == ["done", "done", "failed", "skipped", "skipped"]
    assert steps(result)["plan"]["message"] == "half of the file is gone"
    assert ElementTree.parse(tmp_path / "out.xml").find(".//error").attrib["message"] == "half of the file is gone"
    workflows.before.clear()
    result = batch("--json")
    assert list(statuses(result).values()) == ["reused", "reused", "done", "done", "done"]
    assert workflows.names == ["train", "analyze", "plan", "plan", "compress"]
    assert "[1/5] train: taken from history: train-2a2a2a" in result.stderr
    assert "from history" in batch().stdout
    batch("--fresh")
    assert workflows.names[-4:] == ["train", "analyze", "plan", "compress"]


@pytest.mark.parametrize(
    "changes",
    [
        Changes(inputs=("demo:amazon has other texts in: test",)),
        Changes(unknown=("its record does not say what x held",)),
        Changes(surroundings=("torch was 1, is 2",)),
        Changes(lost=("model/model.safetensors",)),
    ],
)
def test_what_has_changed_is_done_again(
    batch: Callable[..., Result], workflows: FakeWorkflows, unchanged: list[Changes], changes: Changes
):
    batch()
    unchanged[:] = [changes, Changes()]
    result = batch("--json")
    # the new training has another id, so all that is made from it is new too
    assert list(statuses(result).values()) == ["done"] * 5
    assert workflows.names == ["train", "analyze", "plan", "compress"] * 2
    assert "train-2a2a2a is not taken again: " in result.stderr


CONTINUE = """\
on_error: continue
matrix: {ratio: [2, 3, 4]}
steps:
  - train: {model: demo:minilm, data: demo:amazon}
  - analyze: {model: "${train.run}", data: demo:amazon}
  - plan: {analysis: "${analyze.run}", ratio: "${ratio}"}
  - compress: {plan: "${plan.run}"}
  - name: all
    report: {runs: "${plan.runs}", out: all.md}
  - name: later
    needs: compress
    report: {runs: "${train.run}", out: later.md}
"""


def test_one_combination_that_fails_leaves_the_others_alone(batch: Callable[..., Result], workflows: FakeWorkflows):
    def fails(_: Progress) -> None:
        if workflows.names.count("plan") == 2:
            raise DataError("no")

    workflows.before["plan"] = fails
    found = statuses(batch("--json", code=1, script=CONTINUE))
    assert found["plan[ratio=2]"] == found["plan[ratio=4]"] == found["compress[ratio=4]"] == "done"
    assert found["plan[ratio=3]"] == "failed"
    assert found["compress[ratio=3]"] == "skipped"
    assert found["all"] == "done"  # about the runs that there are
    assert found["later"] == "skipped"  # it waits for all of them


def test_what_nobody_expected_is_told_as_a_fault_and_ends_one_step(
    batch: Callable[..., Result], workflows: FakeWorkflows, tmp_path: Path
):
    def fails(_: Progress) -> None:
        raise ZeroDivisionError("x")

    workflows.before["train"] = fails
    result = CliRunner().invoke(main, ["batch", "nightly.yaml", "--json"])
    assert result.exit_code == 1
    assert "this is a fault of Layerwise" in steps(result)["train"]["message"]


def test_a_disk_that_is_full_when_the_report_is_written(batch: Callable[..., Result], workflows: FakeWorkflows, monkeypatch: pytest.MonkeyPatch):  # fmt: skip
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FakeWorkflows, "_report", full)
    result = batch("--json", code=1)
    assert list(statuses(result).values()) == ["done"] * 4 + ["failed"]
    assert steps(result)["report"]["message"].startswith("the disk is full; free some space")


def test_a_report_in_another_language(batch: Callable[..., Result], workflows: FakeWorkflows):
    batch()
    batch(script="steps:\n  - report: {runs: [compression-5d5d5d], out: all.md, language: zh}\n")
    assert workflows.told.startswith("train-2a2a2a 的 6 层中，永久删除了 3 层")
    wrong = 'steps:\n  - report: {runs: [compression-5d5d5d], out: all.md, language: fr, llm: "nonsense:"}\n'
    told = batch(code=2, script=wrong).stderr
    assert "nightly.yaml:2:65: language is 'fr': it should be 'en' or 'zh'" in told
    assert "no language model 'nonsense:'" in told


def test_a_run_that_was_deleted_before_its_report(batch: Callable[..., Result], tmp_path: Path):
    batch()
    script = "steps:\n  - report: {runs: [train-2a2a2a, train-gone22], out: all.md}\n"
    told = batch(code=2, script=script).stderr
    assert "nightly.yaml:2:20: no run 'train-gone22'" in told


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Cancelled("stopped")])
def test_ctrl_c_keeps_what_was_finished(
    batch: Callable[..., Result], workflows: FakeWorkflows, unchanged: list[Changes], tmp_path: Path, stop: Exception
):
    def stops(_: Progress) -> None:
        raise stop

    workflows.before["analyze"] = stops
    result = batch("--json", "--junit", "out.xml", code=3)
    assert list(statuses(result).values()) == ["done", "cancelled", "skipped", "skipped", "skipped"]
    assert json.loads(result.stdout)["status"] == "cancelled"
    assert ElementTree.parse(tmp_path / "out.xml").getroot().attrib["skipped"] == "4"
    workflows.before.clear()
    assert list(statuses(batch("--json")).values()) == ["reused", "done", "done", "done", "done"]


def test_a_step_whose_time_is_up(batch: Callable[..., Result], workflows: FakeWorkflows):
    def waits(progress: Progress) -> None:
        for _ in progress.track(range(10_000), 10_000, "waiting"):
            threading.Event().wait(0.01)

    workflows.before["train"] = waits
    script = "steps:\n  - train: {model: demo:minilm, data: demo:amazon}\n    time_limit: 0.1s\n"
    result = batch("--json", code=1, script=script)
    assert steps(result)["train"]["message"].startswith("its time limit of 0.1 s was up; what was finished is kept")
    assert steps(result)["train"]["status"] == "failed"


def test_a_step_that_is_optional_or_measured_anew(batch: Callable[..., Result], workflows: FakeWorkflows, unchanged: list[Changes]):  # fmt: skip
    script = """\
steps:
  - train: {model: demo:minilm, data: demo:amazon}
    fresh: true
  - analyze: {model: "${train.run}", data: demo:amazon}
  - opinion: {run: "${analyze.run}", llms: "ollama:none"}
    optional: true
  - report: {runs: "${train.run}", out: a.md}
    needs: opinion
"""
    result = batch("--json", script=script)
    assert statuses(result) == {"train": "done", "analyze": "done", "opinion": "skipped", "report": "done"}
    assert "no Ollama answers" in steps(result)["opinion"]["message"]
    assert statuses(batch("--json"))["train"] == "done"
    assert "no Ollama answers" in batch("--json", code=1, script=script.replace("    optional: true\n", "")).stdout


ASK = "steps:\n  - ask: {text: Train minilm on the Amazon demo reviews, llm: offline}\n  - evaluate: {model: '${ask.run}', data: demo:amazon}\n"


def test_a_request_in_plain_language(batch: Callable[..., Result], workflows: FakeWorkflows, unchanged: list[Changes]):
    refused = batch("--json", code=1, script=ASK)
    assert "begin the batch with --approve all" in steps(refused)["ask"]["message"]
    assert workflows.names == []

    def fails(_: Progress) -> None:
        raise DataError("no")

    workflows.before["evaluate"] = fails
    batch("--approve", "all", code=1)
    workflows.before.clear()
    result = batch("--json", "--approve", "all")
    assert statuses(result) == {
        "ask": "reused",
        "evaluate": "done",
    }  # it was stopped: the answer is not asked for again
    assert workflows.names == ["train", "evaluate", "evaluate"]
    assert workflows.asked[-1][1].model == "train-2a2a2a"
    assert "train-2a2a2a" in steps(result)["ask"]["answer"]
    assert statuses(batch("--json", "--approve", "all"))["ask"] == "done"  # it had ended: everything is asked anew


def test_two_processes_do_not_do_the_same_batch(batch: Callable[..., Result], tmp_path: Path):
    batch()
    lock = next((tmp_path / "home" / "batches").glob("*.lock"))
    with FileLock(lock):
        assert "another process does this batch" in batch(code=2).stderr


def test_a_dry_run_starts_nothing_and_names_what_it_goes_by(
    batch: Callable[..., Result], workflows: FakeWorkflows, unchanged: list[Changes], tmp_path: Path
):
    result = batch("--dry-run", "--json")
    found = {each["name"]: each for each in json.loads(result.stdout)["steps"]}
    assert found["train"]["seconds"] is None
    assert "no such step has finished on this home yet" in found["train"]["why"]
    assert "not made yet" in found["plan"]["why"]
    assert workflows.names == []
    assert not (tmp_path / "home" / "batches").exists()
    batch()
    document = json.loads(batch("--dry-run", "--json").stdout)
    found = {each["name"]: each for each in document["steps"]}
    assert [found[name]["history"] for name in ("train", "compress")] == ["train-2a2a2a", "compression-5d5d5d"]
    assert not document["complete"]  # nobody knows how long a report takes
    document = json.loads(batch("--dry-run", "--json", "--fresh").stdout)
    found = {each["name"]: each for each in document["steps"]}
    assert found["plan"]["like"] == ["analysis-3b3b3b"]
    assert found["plan"]["history"] is None
    assert found["analyze"]["disk_mb"] == 0
    table = batch("--dry-run", "--fresh").stdout
    assert "as from analysis-3b3b3b" in table
    assert "nothing was started" in table
    assert workflows.names == ["train", "analyze", "plan", "compress"]


def test_workflows_in_processes_of_their_own(
    batch: Callable[..., Result], workflows: FakeWorkflows, monkeypatch: pytest.MonkeyPatch
):
    def stopped(progress: Progress) -> None:
        os.kill(os.getpid(), signal.SIGINT)  # Ctrl-C reaches only this process: the other one has a session of its own
        for _ in progress.track(range(100), 100, "waiting"):
            threading.Event().wait(0.01)

    asked: list[object] = []
    monkeypatch.setattr("tools.jobs.JobWorkflows", lambda workspace: asked.append(workspace) or workflows)
    workflows.before["analyze"] = stopped
    handler = signal.getsignal(signal.SIGINT)
    assert list(statuses(batch("--processes", "--json", code=3)).values())[:2] == ["done", "cancelled"]
    assert len(asked) == 1
    assert signal.getsignal(signal.SIGINT) is handler
