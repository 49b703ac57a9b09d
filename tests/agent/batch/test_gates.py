"""Gates: what they read, how they come out, and what is refused."""

import pytest

from agent.batch.gates import NAMES, check, measured, parse
from analyzers.errors import UsageError
from analyzers.records import Measurement, Run
from tests.sample_runs import analysis_run, compression_run, evaluation_run, export_run, plan_run, story, train_run


def run_of(*measurements: Measurement) -> Run:
    return evaluation_run(measurements=list(measurements))


RUN = run_of(
    Measurement(name="accuracy", subject="dense", split="test", value=0.9, low=0.87, high=0.93, n=455),
    Measurement(name="accuracy", subject="healed", split="select", value=0.7),
    Measurement(name="accuracy", subject="healed", split="test", value=0.88, low=0.85, high=0.91, n=455),
    Measurement(name="latency_ms", subject="healed", value=10.0, unit="ms"),
)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("test_accuracy >= 0.85", True),
        ("accuracy >= 0.88", True),  # the model that is handed over, on test
        ("accuracy > 0.88", False),
        ("accuracy == 0.88", True),
        ("accuracy != 0.88", False),
        ("select_accuracy < 0.71", True),
        ("dense.accuracy.low <= 0.87", True),
        ("accuracy.n == 455", True),
        ("healed.accuracy >= dense.accuracy - 0.019", False),
        ("healed.accuracy >= dense.accuracy - 0.021", True),
        ("(dense.accuracy + accuracy) / 2 > 0.889", True),
        ("latency_ms * 2 <= 20", True),
        ("-accuracy < 0", True),
        ("0.5 < accuracy", True),
        ("accuracy / (latency_ms - 10) > 1", False),  # not a number is not above
        ("other.accuracy > 0.88", True),
    ],
)
def test_comparisons(text: str, holds: bool):
    other = run_of(Measurement(name="accuracy", subject="model", split="test", value=0.95))
    gate = parse(text, ["other"])
    assert check(gate, lambda step: other if step == "other" else RUN).holds is holds


def test_what_was_found_is_told():
    found = check(parse("healed.test_accuracy >= dense.accuracy", []), lambda _: RUN)
    assert found.found == "healed.test_accuracy is 0.880 (0.850 to 0.910), dense.accuracy is 0.900 (0.870 to 0.930)"


@pytest.mark.parametrize(
    "text",
    ["", "accuracy", "accuracy >=", "1 > 0", "0.5 < accuracy < 0.9", "accuracy >= 0.8 and loss < 1", "f(accuracy) > 1",
     "__import__('os').system('touch /tmp/x') == 0", "accuracy[0] > 1", "'a' < accuracy", "accuracy >= True",
     "accuracy ** 9 > 1", "accuracy > 9**9**9", "(lambda: 1)() > accuracy", "x := accuracy", "accuracy in loss", "accuracy; loss",
     "acuracy > 1", "a.b.c.accuracy > 1", "accuracy > " + "(" * 200 + "1" + ")" * 200, "accuracy > 1" + " " * 300],
)  # fmt: skip
def test_what_is_no_gate(text: str):
    with pytest.raises(UsageError):
        parse(text, ["other"])


def test_a_misspelt_name_is_guessed():
    with pytest.raises(UsageError, match=r"did you mean accuracy\?"):
        parse("test_acuracy >= 0.8", [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("perplexity < 9", "measured no perplexity; it has: dense.test_accuracy, healed.select_accuracy"),
        ("train_accuracy > 0", "measured no accuracy on train"),
        ("quantized.accuracy > 0", "measured no quantized.accuracy"),
        ("latency_ms.low > 0", "has no low; compare its value"),
    ],
)
def test_what_was_not_measured(text: str, said: str):
    with pytest.raises(UsageError) as caught:
        check(parse(text, []), lambda _: RUN)
    assert said in str(caught.value)


def test_analyses_and_trainings_have_more_than_measurements():
    assert check(parse("fisher.fidelity > -9", []), lambda _: analysis_run()).holds
    assert check(parse("kendall_w <= 1", []), lambda _: analysis_run()).holds
    assert check(parse("epochs >= 1", []), lambda _: train_run()).holds
    assert check(parse("seconds >= 0", []), lambda _: plan_run()).holds


def test_a_plan_is_the_planned_model():
    run = evaluation_run(
        measurements=[
            Measurement(name="accuracy", subject="dense", split="test", value=0.9),
            Measurement(name="accuracy", subject="planned", split="test", value=0.8),
        ]
    )
    assert check(parse("accuracy < 0.85", []), lambda _: run).holds


def test_every_name_that_runs_have_is_known():
    runs = [*story(), evaluation_run(), export_run(), compression_run()]
    assert {each.name for run in runs for each in measured(run)} <= set(NAMES)
