"""Numbers of an answer are backed by facts, at the precision they are written with; invented ones are caught."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from agent.grounding import check, facts_of
from agent.planner.answers import render
from knowledge.runs import RunStore
from tests.sample_runs import compression_run, story
from tools.facts import facts

NOWHERE = RunStore(Path("/nowhere"), embedder_folder=None)


@pytest.mark.parametrize(
    ("answer", "fact"),
    [
        ("It has 89.9 % accuracy.", 0.899),
        ("It has 90 % accuracy.", 0.899),
        ("It has 89.9% accuracy.", 89.9),
        ("89.9 percent", 0.899),
        ("It lost 2 points.", 0.02),
        ("It lost 1.8 percentage points.", 0.018),
        ("loss 0.281", 0.2814),
        ("loss 0.28", 0.2814),
        ("6.10 ms", 6.1),
        ("22.7 M parameters", 22_713_216),
        ("22.7 million parameters", 22_713_216),
        ("1.2 G", 1_234_000_000),
        ("2,104 examples", 2104),
        ("a difference of 3.1e-7", 3.1e-7),
        ("3.10e-07", 3.1e-7),
        ("it fell by 0.05", -0.05),
        ("−0.05", -0.05),
        ("准确率为89.9%", 0.899),
        ("下降了1.8个百分点", 0.018),
        ("参数2270万", 22_700_000),
        ("参数1.2亿", 120_000_000),
        ("第3层", 3),
        ("half is 2.5", 2.45),  # a tie, rounded up
        ("half is 2.4", 2.45),  # and down
    ],
)
def test_a_fact_supports_what_is_rounded_from_it(answer: str, fact: float) -> None:
    assert check(answer, [fact]) == []


@pytest.mark.parametrize(
    ("answer", "fact"),
    [
        ("It has 89.8 % accuracy.", 0.899),
        ("It has 91 % accuracy.", 0.899),
        ("loss 0.29", 0.2814),
        ("loss 0.2815", 0.2814),
        ("0.899 ms", 89.9),
        ("90", 0.9),  # a share is written with its unit
        ("22.8 M parameters", 22_713_216),
        ("22.7 G parameters", 22_713_216),
        ("2,105 examples", 2104),
        ("3.2e-7", 3.1e-7),
        ("12ms/text", 6.1),
        ("a 4.2x-speedup", 1.87),
        ("准确率为89.8%", 0.899),
        ("参数2280万", 22_700_000),
        ("第4层", 3),
        ("twice as fast: 2.1x", 2.0),
    ],
)
def test_another_number_is_caught(answer: str, fact: float) -> None:
    assert len(check(answer, [fact])) == 1


def test_intervals_of_percentages() -> None:
    known = [0.899, 0.871, 0.925]
    for answer in (
        "89.9 % [87.1 to 92.5]",
        "89.9 % (87.1 to 92.5)",
        "between 87.1 and 92.5 %",
        "87.1 to 92.5 percent",
        "89.9 %（87.1 至 92.5）",
    ):
        assert check(answer, known) == [], answer
    assert [each.number for each in check("89.9 % [87.1 to 92.6]", known)] == ["92.6"]
    assert [each.number for each in check("between 86.1 and 92.5 %", known)] == ["86.1"]


@pytest.mark.parametrize(
    "text",
    [
        "analysis-3b3b3b and plan-81mzna",
        "demo:smollm2, csv:data/2024.csv, gguf:/models/q4.gguf",
        "bert-base-uncased, all-MiniLM-L6-v2, org/model-2",
        "see https://arxiv.org/abs/1612.00796",
        "the F1 score",
        "/home/me/runs/3/report.html",
        "1. first\n2. second\n3) third",
        "the 95 % confidence interval, the 95% CI, 95 % 置信区间, 95 % intervals",
        "checksum 9f86d081884c7d65",
        "no numbers at all",
        "",
    ],
)
def test_names_addresses_and_list_marks_are_no_numbers(text: str) -> None:
    assert check(text, []) == []


def test_what_is_not_supported_is_shown_with_the_words_around_it() -> None:
    (found,) = check("The smaller model is 4.2 times as fast as the dense one.", [1.87])
    assert found.number == "4.2"
    assert "smaller model is 4.2 times as fast" in found.context


def test_facts_are_numbers_of_json_and_text_and_of_records() -> None:
    found = facts_of(['{"a": 1.5, "b": [2, {"c": "about 22.7 M, 5 %"}], "d": true, "e": null}', "no JSON: 7"])
    assert {1.5, 2.0, 22.7, 22.7e6, 5.0, 0.05, 7.0} <= set(found)
    assert {0.881, 0.899, 6.1} <= set(facts_of([], [compression_run()]))


def test_ids_and_checksums_are_no_facts() -> None:
    text = json.dumps({"run": "plan-78x9y6", "sha256": "8d7f" * 16, "split": "455 examples, 9f86d081"})
    assert set(facts_of([text])) == {455.0}


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("run", "template"), list(zip(story(), ("trained", "analyzed", "planned", "compressed"), strict=True)), ids=lambda each: str(each)[:12])  # fmt: skip
def test_every_changed_number_of_an_answer_is_caught(language: Any, run: Any, template: str) -> None:
    told = facts(run, NOWHERE)
    answer = render(language, template, run=json.loads(json.dumps(told)))
    known = facts_of([json.dumps(told)], [run])
    assert check(answer, known) == []
    numbers = list(re.finditer(r"(?<![\w.,:-])\d+\.\d+(?!\w)", answer))
    assert numbers
    for match in numbers:
        wrong = f"{float(match[0]) * 1.31 + 1000:.{len(match[0].partition('.')[2])}f}"
        changed = answer[: match.start()] + wrong + answer[match.end() :]
        assert [each.number.startswith(wrong) for each in check(changed, known)] == [True], (match[0], wrong)
