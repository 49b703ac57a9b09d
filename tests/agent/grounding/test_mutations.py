"""Good answers pass, wrong ones are caught: rates over all mutations of the planner's answers and of free-form ones."""

import json
import random
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from agent.grounding import Facts, check, facts_of
from agent.planner.answers import render
from knowledge.runs import RunStore
from tests.agent.grounding.answers import FREE_FORM
from tests.agent.grounding.mutations import mutations
from tests.sample_runs import evaluation_run, story
from tools.facts import facts

SEED = 0
CAUGHT, REFUSED = 0.98, 0.02  # at least, at most
RUNS = [*story(), evaluation_run()]
TOLD = {run.kind: json.loads(json.dumps(facts(run, RunStore(Path("/nowhere"), embedder_folder=None)))) for run in RUNS}
METHODS = list(TOLD["analysis"]["result"]["methods"])
NOTE = {
    "name": "x",
    "title": "A note",
    "title_zh": "说明",
    "text": "No numbers.",
    "text_zh": "没有数字。",
    "sources": [],
}
# No template that another one includes whole.
ANSWERS: list[tuple[str, dict[str, Any]]] = [
    ("trained", {"run": TOLD["train"]}),
    ("agreement", {"run": TOLD["analysis"], "note": NOTE}),
    ("ranking", {"run": TOLD["analysis"], "least": False, "methods": METHODS}),
    ("ranking", {"run": TOLD["analysis"], "least": True, "methods": METHODS}),
    ("why_layer", {"run": TOLD["analysis"], "plan": TOLD["plan"], "layers": (0, 3), "notes": [NOTE]}),
    ("planned", {"run": TOLD["plan"]}),
    ("compressed", {"run": TOLD["compression"]}),
    ("speed", {"run": TOLD["plan"]}),
    ("provenance", {"run": TOLD["compression"]}),
    ("evaluated", {"run": TOLD["evaluation"]}),
]  # fmt: skip


@cache
def known() -> Facts:
    """All runs at once: the more facts there are, the more a wrong number may find one by chance."""
    return facts_of([json.dumps(each) for each in TOLD.values()], RUNS)


@cache
def good_answers() -> list[str]:
    languages: tuple[Any, ...] = ("en", "zh")
    return [render(language, name, **values) for language in languages for name, values in ANSWERS] + FREE_FORM


def test_good_answers_are_not_refused() -> None:
    refused = {answer: found for answer in good_answers() if (found := check(answer, known()).unsupported)}
    print(f"{len(refused)} of {len(good_answers())} good answers refused")
    assert len(FREE_FORM) >= 40
    assert len(refused) <= REFUSED * len(good_answers()), refused


def test_mutations_are_caught() -> None:
    dice = random.Random(SEED)
    made: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    examples = []
    for answer in good_answers():
        for mutation in mutations(answer, dice):
            made[mutation.kind] += 1
            if not check(mutation.text, known()).unsupported:
                missed[mutation.kind] += 1
                examples.append(f"{mutation.kind}: {mutation.what}")
    total = sum(made.values())
    rate = 1 - sum(missed.values()) / total
    print(
        f"{rate:.2%} of {total} mutations caught",
        {kind: f"{1 - missed[kind] / made[kind]:.1%} of {made[kind]}" for kind in made},
    )
    print("\n".join(examples))
    assert set(made) == {"change", "drop", "swap", "layer", "method", "subject"}
    assert min(made.values()) >= 30
    assert rate >= CAUGHT, "\n".join(examples)
