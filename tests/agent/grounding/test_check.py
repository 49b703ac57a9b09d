"""Numbers of an answer are backed by facts, at the precision they are written with and of what they are said of."""

from typing import Any

import pytest

from agent.grounding import Facts, check, facts_of
from agent.grounding.facts import Fact, Quote
from agent.grounding.words import cues
from knowledge.notes import note
from tests.sample_runs import analysis_run, compression_run, evaluation_run, story

RUNS = [*story(), evaluation_run()]
ALL = facts_of([], RUNS)


def one(value: float, name: str = "", unit: str = "", **more: Any) -> Facts:
    """A single fact."""
    return Facts([Fact(value=value, name=name, unit=unit, **more)], [], [], [(abs(value), 0)])


def left(answer: str, facts: Facts = ALL) -> list[str]:
    """The numbers of the answer that nothing backs."""
    return [each.number for each in check(answer, facts).unsupported]


@pytest.mark.parametrize(
    ("answer", "fact"),
    [
        ("It has 89.9 % accuracy.", one(0.899, "accuracy")),
        ("It has 90 % accuracy.", one(0.899, "accuracy")),
        ("89.9 percent", one(0.899, "accuracy")),
        ("loss 0.281", one(0.2814, "loss")),
        ("loss 0.28", one(0.2814, "loss")),
        ("6.10 ms", one(6.1, "latency_ms", "ms")),
        ("22.7 M parameters", one(22_713_216, "parameters")),
        ("22.7 million parameters", one(22_713_216, "parameters")),
        ("2,104 examples", one(2104, "examples", named=True)),
        ("logits differ by 3.1e-7", one(3.1e-7, "max_logit_difference")),
        ("3.10e-07", one(3.1e-7)),
        (
            "max_logit_difference=4.978240326636296e-07",
            one(4.978240326636296e-07, "max_logit_difference"),
        ),  # no checksum
        ("down to 0.05", one(-0.05)),
        ("−0.05", one(-0.05)),
        ("准确率为89.9%", one(0.899, "accuracy")),
        ("参数2270万", one(22_700_000, "parameters")),
        ("参数1.2亿", one(120_000_000, "parameters")),
        ("half is 2.5", one(2.45)),  # a tie, rounded up
        ("half is 2.4", one(2.45)),  # and down
    ],
)
def test_a_fact_supports_what_is_rounded_from_it(answer: str, fact: Facts) -> None:
    assert left(answer, fact) == []


@pytest.mark.parametrize(
    ("answer", "fact"),
    [
        ("It has 89.8 % accuracy.", one(0.899, "accuracy")),
        ("It has 91 % accuracy.", one(0.899, "accuracy")),
        ("loss 0.29", one(0.2814, "loss")),
        ("loss 0.2815", one(0.2814, "loss")),
        ("0.899 ms", one(89.9, "latency_ms", "ms")),
        ("6.1 ms", one(6.1)),  # without a unit
        ("accuracy 90", one(0.9, "accuracy")),  # a share is written with its unit
        ("22.8 M parameters", one(22_713_216, "parameters")),
        ("22.7 G parameters", one(22_713_216, "parameters")),
        ("2,105 examples", one(2104, "examples", named=True)),
        ("2,104 epochs", one(2104, "examples", named=True)),
        ("3.2e-7", one(3.1e-7)),
        ("12ms/text", one(6.1, "latency_ms", "ms")),
        ("a 4.2x-speedup", one(1.87, "speedup", "×", ratio=True)),
        ("准确率为89.8%", one(0.899, "accuracy")),
        ("参数2280万", one(22_700_000, "parameters")),
        ("a fidelity of 1", one(0.74, "fidelity")),  # further off than a rounding is
        ("a score of 0.0", one(0.04, "score")),
    ],
)
def test_another_number_is_caught(answer: str, fact: Facts) -> None:
    assert len(left(answer, fact)) == 1


@pytest.mark.parametrize("text", ["89.9 % [87.1 to 92.5]", "89.9 % (95 % CI 87.1–92.5)", "between 87.1 and 92.5 %", "89.9 %（87.1 至 92.5）"])  # fmt: skip
def test_an_interval_is_that_of_its_value(text: str) -> None:
    fact = one(0.899, "accuracy", low=0.871, high=0.925)
    assert left(text, fact) == []
    assert len(left(text.replace("92.5", "92.6"), fact)) == 1
    assert len(left(text, one(0.899, "accuracy"))) == 1  # nothing was resampled


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
        "layers counted from 0, 从 0 开始",
        "checksum 9f86d081884c7d65",
        "no numbers at all",
        "",
    ],
)
def test_names_addresses_and_list_marks_are_no_numbers(text: str) -> None:
    assert left(text, Facts([], [], [], [])) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("By Fisher layer 0 has 3.78.", "By Fisher layer 1 has 3.78."),
        ("By Fisher layer 0 has 3.78.", "By SHAP layer 0 has 3.78."),
        ("Layer 0: Fisher 3.78, SHAP 0.353.", "Layer 0: Fisher 0.353, SHAP 3.78."),
        ("第 0 层的 Fisher 得分为 3.78。", "第 3 层的 Fisher 得分为 3.78。"),
        ("The accuracy of the healed model is 88.1 %.", "The accuracy of the dense model is 88.1 %."),
        ("The accuracy of the compressed model is 84.6 %.", "The accuracy of the healed model is 84.6 %."),
        ("修复后的准确率为 88.1 %。", "原模型的准确率为 88.1 %。"),
        ("On the select split the plan has 85.4 % accuracy.", "On the test split the plan has 85.4 % accuracy."),
        ("F1 is 86.6 % after healing.", "Accuracy is 86.6 % after healing."),
        ("Layers 1, 2 and 3 are removed.", "Layers 1, 2 and 4 are removed."),
        ("保留第 0、4、5 层。", "保留第 0、3、5 层。"),
        ("Layer 3 is the least important.", "Layer 0 is the least important."),
        ("Most important first: 0, 5, 4, 1, 2, 3.", "Most important first: 5, 0, 4, 1, 2, 3."),
        ("The model has 6 layers.", "The model has 7 layers."),
        ("There is no layer 17.", "There is no layer 5."),
        ("Fisher ranks layer 3 at rank 6.", "Fisher ranks layer 3 at rank 5."),
        ("Fisher and SHAP have a fidelity of 0.61 and 0.91.", "Fisher and SHAP have a fidelity of 0.91 and 0.61."),
        ("Accuracy fell from 89.9 % to 88.1 %.", "Accuracy fell from 88.1 % to 89.9 %."),
        ("It needs 69.6 MB instead of 90.9 MB.", "It needs 90.9 MB instead of 69.6 MB."),
        ("Accuracy is 88.1 % (compression-5d5d5d).", "Accuracy is 88.1 % (evaluation-6e6e6e)."),
        ("| model | accuracy |\n|---|---|\n| dense | 89.9 % |", "| model | accuracy |\n|---|---|\n| healed | 89.9 % |"),
    ],
)
def test_the_right_number_of_the_wrong_thing_is_caught(right: str, wrong: str) -> None:
    assert left(right) == []
    assert left(wrong) != []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("Healing costs 1.8 points of accuracy against the dense model.", "Healing costs 2.8 points of accuracy."),
        ("Healing brings 3.5 points of accuracy over the compressed model.", "Healing brings 5.3 points over it."),
        ("Latency is 46 % lower.", "Latency is 56 % lower."),
        ("It is 5.3 ms faster.", "It is 6.3 ms faster."),
        ("The model is 23 % smaller on disk.", "The model is 33 % smaller on disk."),
        ("By SHAP layer 0 is 4.7 times as important as layer 3.", "By SHAP layer 0 is 4.7 times as important as layer 1."),
        ("The fidelity of SHAP is higher than that of Fisher by 0.30.", "The fidelity of SHAP is higher than that of ablation by 0.30."),
        ("50 % of the layers were removed.", "40 % of the layers were removed."),
        ("准确率下降了 1.8 个百分点。", "准确率下降了 2.8 个百分点。"),
    ],
)  # fmt: skip
def test_differences_ratios_and_shares_are_recomputed(right: str, wrong: str) -> None:
    assert left(right) == []
    assert left(wrong) != []


def test_a_recomputed_number_names_both_facts() -> None:
    (found,) = check("Accuracy fell by 1.8 points (compression-5d5d5d).", ALL).verified
    assert (found.value, found.run) == (pytest.approx(1.8), "compression-5d5d5d")
    assert found.path == "measurements[0].value, measurements[2].value"  # dense, healed


@pytest.mark.parametrize(
    "answer",
    [
        "Accuracy is 20.26 %.",  # the year
        "The loss is 2.0.",  # patience, cores, the ratio
        "Removing it costs 1.6 %.",  # a batch of 16
        "It is 9.3 % worse.",  # half past nine
        "The fidelity is 0.0001.",  # the learning rate
        "The score is 4.0.",  # the seed of another analysis
    ],
)
def test_dates_ids_seeds_and_settings_support_no_measured_claim(answer: str) -> None:
    runs = [*RUNS, analysis_run(run_id="analysis-4d4d4d", seed=4)]
    assert len(left(answer, facts_of([], runs))) == 1


@pytest.mark.parametrize(
    "answer",
    ["The seed was 0.", "batch size 16", "随机种子 0", "It was measured on 2026-03-02.", "learning rate 0.0001"],
)
def test_settings_and_dates_can_be_told(answer: str) -> None:
    assert left(answer) == []


def test_what_was_considered_is_not_the_result() -> None:
    assert left("The plan has 84.1 % accuracy on the select split.") == ["84.1"]
    assert left("The other candidate, by greedy, has 84.1 % accuracy on the select split.") == []


def test_a_number_of_a_text_needs_the_words_around_it() -> None:
    told = facts_of([note("shap").model_dump_json()])
    assert left("Up to 8 layers every set is measured.", told) == []  # quoted
    assert left("With up to 8 layers SHAP has every set measured exactly.", told) == []
    assert left("SHAP removes 8 of them.", told) == ["8"]
    assert left("Up to 9 layers every set is measured.", told) == ["9"]


def test_what_the_user_said_can_be_repeated_to_them() -> None:
    said = facts_of([], said="what if I remove layers 1 and 2?")
    assert left("You named 2 layers.", said) == []
    assert left("Removing them costs 2 %.", said) == ["2"]


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        ("Can I rely on Fisher?", "Hardly: its fidelity is 0.610.", "Hardly: its fidelity is 0.910."),
        ("那 SHAP 呢？", "它的保真度是 0.910。", "它的保真度是 0.610。"),
        ("And what if I remove layers 2, 3 and 4?", "Then it has 84.1 % on select.", "Then it has 84.6 % on select."),
    ],
)  # fmt: skip
def test_the_question_says_what_the_answer_is_about(question: str, right: str, wrong: str) -> None:
    asked = ALL._replace(quotes=[*ALL.quotes, Quote(text=question, path="said")])
    assert left(right, asked) == []
    assert left(wrong, asked) != []


def test_each_number_is_verified_with_its_fact() -> None:
    answer = "The healed model has 88.1 % accuracy (compression-5d5d5d)."
    (found,) = check(answer, facts_of([], [compression_run()])).verified
    assert answer[found.start : found.end] == "88.1 %"
    assert (found.value, found.low, found.high) == (0.881, 0.85, 0.909)
    assert (found.run, found.path) == ("compression-5d5d5d", "measurements[2].value")


def test_what_is_not_supported_is_shown_with_the_words_around_it_and_the_reason() -> None:
    invented, misplaced = check("It is 4.2 times as fast. The dense model has 88.1 % accuracy.", ALL).unsupported
    assert (invented.number, invented.reason) == ("4.2", "no result holds it")
    assert (misplaced.number, misplaced.reason) == ("88.1", "the results hold it, but not of what it is said of here")
    assert "dense model has 88.1 % accuracy" in misplaced.context


def quantized() -> Facts:
    """Of a compression whose last step was to store the weights in fewer bits; 88.1 % are then its accuracy."""
    healed = compression_run()
    renamed = [
        each.model_copy(update={"subject": each.subject.replace("healed", "quantized")}) for each in healed.measurements
    ]
    return facts_of([], [healed.model_copy(update={"measurements": renamed})])


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("The accuracy of the quantized model is 88.1 %.", "The accuracy of the quantized model is 89.9 %."),
        ("量化后的准确率为 88.1 %。", "量化后的准确率为 89.9 %。"),
        ("The smaller model has an accuracy of 88.1 %.", "The smaller model has an accuracy of 89.9 %."),
        ("Accuracy fell from 89.9 % to 88.1 %.", "Accuracy fell from 88.1 % to 89.9 %."),
    ],
)
def test_a_quantized_model_is_told_from_the_others(right: str, wrong: str) -> None:
    assert left(right, quantized()) == []
    assert left(wrong, quantized()) != []


@pytest.mark.parametrize("word", ["quantization", "healing", "generated texts", "fidelity", "量化"])
def test_notes_on_other_things_name_no_method(word: str) -> None:
    assert not [cue for cue in cues(f"After {word} the loss is 0.3.", (), ()) if cue.dimension == "method"]
    assert {cue.values for cue in cues("By ablation 0.3.", (), ()) if cue.dimension == "method"} == {("ablation",)}


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("It is almost twice as fast.", "It is three times as fast."),  # 1.87
        ("Half of the layers were removed.", "A third of the layers were removed."),
        ("Latency falls by nearly half.", "Latency falls by a quarter."),  # 46 %
        ("Three of the six layers are removed.", "Two of the six layers are removed."),
        ("About a quarter of the disk size is saved: it is a quarter smaller.", "The model is half smaller on disk."),  # 23 %
        ("By Fisher layer 3 ranks sixth.", "By Fisher layer 3 ranks fifth."),
        ("Accuracy is over 88 %.", "Accuracy is over 91 %."),
        ("Latency is under 12 ms for the dense model.", "Latency is under 10 ms for the dense model."),
    ],
)  # fmt: skip
def test_numbers_in_words_and_bounds_are_claims(right: str, wrong: str) -> None:
    assert left(right) == []
    assert left(wrong) != []


@pytest.mark.parametrize(
    "answer",
    ["That is half the battle.", "Think twice.", "First of all, one of the runs was once repeated.", "It does not halve the latency."],
)  # fmt: skip
def test_idioms_are_no_claims(answer: str) -> None:
    assert left(answer) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        # a word contradicts only the number that it stands nearest to
        ("It gets 88.1 % right, and 89.9 % for the dense one.", "The dense one gets 88.1 % right, and 89.9 % after healing."),
        ("I trust SHAP. Its fidelity is 0.910.", "I trust gradient. Its fidelity is 0.910."),
        # two numbers that would fit better the other way round
        ("81.2 to 87.7 % before healing and 85.0 to 90.9 % after healing.", "85.0 to 90.9 % before healing and 81.2 to 87.7 % after healing."),
        ("SHAP / Fisher fidelity: 0.910 / 0.610.", "SHAP / Fisher fidelity: 0.610 / 0.910."),
        # the names of a heading for the numbers of each line below it
        ("By layer (Fisher / SHAP):\n- 0: 3.78 / 0.353\n- 3: 0.696 / 0.0749", "By layer (Fisher / SHAP):\n- 0: 0.353 / 3.78\n- 3: 0.696 / 0.0749"),
        ("Select accuracy rose epoch by epoch: 87.2 %, 88.5 %.", "Select accuracy rose epoch by epoch: 88.5 %, 87.2 %."),
        ("Training took 3.1 minutes.", "Training took 4.1 minutes."),
        # a method of the next clause is none of these; a unit is not that of every number before it
        ("I trust SHAP. Its fidelity is 0.910, while Fisher and mutual information are at 0.610 and 0.320.", "I trust SHAP. Its fidelity is 0.610, while Fisher and mutual information are at 0.910 and 0.320."),
        ("Healed by distillation to 0.881, 69.6 MB.", "Healed by distillation to 0.899, 69.6 MB."),
        ("Healing won back two thirds of the drop in accuracy.", "Healing won back a quarter of the drop in accuracy."),
        ("A model without layers 2, 3 and 4 has 84.1 % on select.", "A model without layers 2, 3 and 5 has 84.1 % on select."),
    ],
)  # fmt: skip
def test_numbers_are_bound_by_value_and_refuted_by_contradiction(right: str, wrong: str) -> None:
    assert left(right) == []
    assert left(wrong) != []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        # neither fits worse the other way round
        ("SHAP has the highest fidelity, 0.910, with ablation second at 0.86.", "SHAP has the highest fidelity, 0.86, with ablation second at 0.910."),
        # the words for one side of a comparison say nothing of the other
        ("Accuracy is within 2 points of the original (88.1% vs 89.9%).", "Accuracy is within 2 points of the original (88.1% vs 84.5%)."),
        ("Fidelity: 0.910, against 0.86 for ablation.", "Fidelity: 0.880, against 0.86 for ablation."),
        # the way that the words say
        ("The loss rises from 0.281 to 0.312 after healing.", "The loss falls from 0.281 to 0.312 after healing."),
        ("Its loss is lower (0.281 vs 0.312).", "Its loss is higher (0.281 vs 0.312)."),
        # counts of right and wrong examples, and their differences
        ("The healed model gets 401 of 455 right, 8 fewer than the dense one.", "The healed model gets 401 of 455 right, 18 fewer than the dense one."),
        ("The dense model makes 46 mistakes on the test split.", "The dense model makes 64 mistakes on the test split."),
        ("One in ten reviews is misclassified by the dense model.", "One in five reviews is misclassified by the dense model."),
        # what parts make together, and what part one is of the whole
        ("Six layers of 1.77M parameters each make 10.6M; the remaining 12.1M are in none.", "Six layers of 1.77M parameters each make 11.6M; the remaining 12.1M are in none."),
        ("The six layers hold 47% of the parameters.", "The six layers hold 57% of the parameters."),
        ("Dropping three layers of 1,774,464 parameters each saves 5,323,392.", "Dropping three layers of 1,774,464 parameters each saves 5,332,392."),
        ("Healing took 74 s of the run, training 184 s.", "Healing took 184 s of the run, training 74 s."),
        # of a table above
        ("| model | loss |\n|---|---|\n| dense | 0.281 |\n| compressed | 0.391 |\n\nThe excess over the dense one is 39 %.", "| model | loss |\n|---|---|\n| dense | 0.281 |\n| compressed | 0.391 |\n\nThe excess over the dense one is 49 %."),
        # a layer by its rank
        ("By SHAP layer 0 has 1.2 times as much as the next layer.", "By SHAP layer 0 has 2.2 times as much as the next layer."),
        # an error rate, or a loss, where nothing names it
        ("SHAP gives layer 0 a score of 0.353.", "SHAP gives layer 0 a score of 0.119."),
        ("By ablation: 0.86.", "By ablation: 0.28."),
        # pairs of a layer and its value, and values one by one for the layers behind them
        ("Scores by Fisher: 0 (3.78), 3 (0.696).", "Scores by Fisher: 0 (0.696), 3 (3.78)."),
        ("Fisher gives 3.78 and 0.696 for layers 0 and 3.", "Fisher gives 0.696 and 3.78 for layers 0 and 3."),
        # what is enumerated, and how wide an interval is
        ("There were 3 steps: training, analysis and planning.", "There were 4 steps: training, analysis and planning."),
        ("Accuracy is 88.1 %; the interval reaches about 3 points either way.", "Accuracy is 88.1 %; the interval reaches about 9 points either way."),
        # the interval of a share behind a number of examples
        ("The dense model scored 89.9 % on the 455 test texts (interval 87.1 to 92.5 %).", "The dense model scored 89.9 % on the 455 test texts (interval 85.1 to 92.5 %)."),
        # the best set of a size, and what is no size
        ("With 4 layers the best set keeps layers 0, 1, 4 and 5 (removing 2 and 3).", "With 4 layers the best set keeps layers 1, 2, 4 and 5 (removing 0 and 3)."),
        # points without the word
        ("Of 5.3 points that were lost, 3.5 came back by healing.", "Of 5.3 points that were lost, 4.5 came back by healing."),
    ],
)  # fmt: skip
def test_wording_that_was_unknown_is_neither_refused_nor_passed_unread(right: str, wrong: str) -> None:
    assert left(right) == []
    assert left(wrong) != []


def test_a_number_of_absurd_size_is_no_error() -> None:
    assert left("It has 0 M parameters.") == ["0"]  # nor the difference of two equal ones
    assert left("It has 1e999 parameters.") == ["1e999"]
