"""What the command line says of a run."""

import pytest

from agent.summaries import summary
from tests.sample_runs import plan_run


@pytest.mark.parametrize(
    ("settings", "changes", "words"),
    [
        ({}, {"exhaustive": True, "spent": None}, "sets of layers measured, among them all of that size"),
        ({}, {"exhaustive": False, "spent": 70.5}, "and more on some: a budget of 70.5"),
        ({"budget": 80.0}, {"exhaustive": False, "spent": 70.5}, "70.5 evaluations, for a budget of 80"),
        (
            {"budget": 20.0},
            {"exhaustive": False, "spent": 24.0},
            "a budget of 20; the baselines are measured in any case",
        ),
    ],
)
def test_the_work_of_a_search(settings: dict[str, float], changes: dict[str, object], words: str) -> None:
    run = plan_run()
    result = run.result.model_copy(update=changes)
    told = summary(run.model_copy(update={"settings": settings, "result": result}))
    assert words in told
