"""Follow-ups: what was said and measured before counts."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from agent.planner.memory import Memory
from analyzers.errors import LayerwiseError
from analyzers.progress import Progress
from tests.agent.planner.conversation import Conversation
from tests.fake_workflows import FakeWorkflows
from tests.sample_runs import plan_run, train_run

TRAIN = "train minilm on the Amazon demo reviews"
PLAN = "which layers can I drop to make it twice as fast?"


def test_do_it_after_a_plan_compresses_by_that_plan(talk: Conversation) -> None:
    talk.say(TRAIN)
    assert talk.calls == [("train_model", {"model": "demo:minilm", "data": "demo:amazon"})]
    talk.say(PLAN)
    assert talk.names == ["analyze_layers", "plan_compression"]
    assert talk.arguments("analyze_layers") == {"model": "train-2a2a2a", "data": "demo:amazon"}
    assert talk.arguments("plan_compression") == {"analysis": "analysis-3b3b3b", "ratio": 2}
    answer = talk.say("do it")
    assert talk.calls == [("compress_model", {"plan": "plan-4c4c4c"})]
    assert "compression-5d5d5d" in answer


@pytest.mark.parametrize("words", ["go ahead", "ok, do it", "apply the plan", "compress it", "做吧", "执行这个计划"])
def test_other_words_for_do_it(talk: Conversation, words: str) -> None:
    talk.say(TRAIN)
    talk.say(PLAN)
    talk.say(words)
    assert talk.calls == [("compress_model", {"plan": "plan-4c4c4c"})]


def test_another_ratio_plans_anew_on_the_same_analysis(talk: Conversation) -> None:
    talk.say(TRAIN)
    talk.say(PLAN)
    talk.say("with ratio 3")
    assert talk.calls == [("plan_compression", {"analysis": "analysis-3b3b3b", "ratio": 3})]
    talk.say("and with 4 layers?")
    assert talk.calls == [("plan_compression", {"analysis": "analysis-3b3b3b", "keep": 4})]
    talk.say("do it")
    assert talk.calls == [("compress_model", {"plan": "plan-3zzzzz"})]  # the newest plan


def test_do_it_with_another_ratio_makes_the_plan_first(talk: Conversation) -> None:
    talk.say(TRAIN)
    talk.say(PLAN)
    talk.say("do it with ratio 3")
    assert talk.names == ["plan_compression", "compress_model"]
    assert talk.arguments("plan_compression")["ratio"] == 3
    assert talk.arguments("compress_model") == {"plan": "plan-2zzzzz"}


def test_a_number_of_layers_to_drop_becomes_a_number_to_keep(later: Conversation) -> None:
    later.say("analyze train-2a2a2a on demo:amazon")
    later.say("remove two layers")
    assert later.arguments("plan_compression")["keep"] == 4  # of six


def test_healing_only_repeats_the_compression(talk: Conversation) -> None:
    for message in (TRAIN, PLAN, "do it", "without healing"):
        talk.say(message)
    assert talk.calls == [("compress_model", {"plan": "plan-4c4c4c", "heal": "none"})]


def test_fewer_bits_alone_keep_all_layers(talk: Conversation) -> None:
    talk.say(TRAIN)
    talk.say("quantize it to int8")
    assert talk.arguments("plan_compression")["ratio"] == 1
    assert talk.arguments("compress_model")["quantize"] == "int8"


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("export it for Ollama as q8_0", {"format": "gguf", "precision": "q8_0"}),
        ("save it as an 8-bit gguf", {"format": "gguf", "precision": "q8_0"}),
        ("export it to ONNX", {"format": "onnx"}),
        ("导出", {}),
    ],
)
def test_what_was_just_made_is_exported(talk: Conversation, words: str, asked: dict[str, str]) -> None:
    talk.say(TRAIN)
    talk.say(PLAN)
    talk.say("do it")
    answer = talk.say(words)
    assert talk.calls == [("export_model", {"model": "compression-5d5d5d", **asked})]
    assert "export-7f7f7f" in answer
    assert "ollama run tiny-3-layers" in answer
    assert talk.unsupported() == []
    talk.say("and as onnx")
    assert talk.calls == [("export_model", {"model": "compression-5d5d5d", "format": "onnx"})]


def test_all_in_one_message_to_the_exported_model(talk: Conversation) -> None:
    talk.say(f"{TRAIN}, make it twice as fast and export it as gguf")
    assert talk.names == ["train_model", "analyze_layers", "plan_compression", "compress_model", "export_model"]
    assert talk.arguments("export_model") == {"model": "compression-5d5d5d", "format": "gguf"}


def test_layers_are_taken_out_of_a_file_that_is_exported(talk: Conversation) -> None:
    talk.say("export gguf:/a/b.gguf to gguf without layers 3 and 4")
    assert talk.calls == [("export_model", {"model": "gguf:/a/b.gguf", "format": "gguf", "remove": (3, 4)})]


def test_an_export_of_an_earlier_session_is_shown(later: Conversation) -> None:
    later.say("export compression-5d5d5d as gguf")
    for words in ("show export-7f7f7f", "show the last export", "where is the model?"):
        assert "**Exported** compression-5d5d5d" in later.say(words)
        assert later.names == ["show_run"]


def test_other_data_repeats_the_last_work(talk: Conversation) -> None:
    talk.say(TRAIN)
    talk.say("use demo:movie instead")
    assert talk.calls == [("train_model", {"model": "demo:minilm", "data": "demo:movie"})]


def test_do_it_again_is_the_last_work_and_no_other(talk: Conversation) -> None:
    for message in (TRAIN, PLAN, TRAIN, "do it again"):
        talk.say(message)
    assert talk.names == ["train_model"]


@pytest.mark.parametrize(
    "message",
    [
        "I love minilm",
        "amazon is a big company",
        "don't use shap",
        "don't train minilm",
        "thanks for the report on demo:amazon",
        "never delete layer 0",
        "hello minilm",
    ],
)
def test_a_mention_does_not_repeat_work_of_minutes(talk: Conversation, message: str) -> None:
    talk.say(TRAIN)
    talk.say(message)
    assert talk.calls == []


@pytest.mark.parametrize("message", ["compare it with the last one", "和上一次比较"])
def test_it_and_the_last_one(later: Conversation, message: str) -> None:
    later.workspace.runs.save(plan_run(run_id="plan-zzzzzz"))
    later.say("show plan-zzzzzz")
    answer = later.say(message)
    assert later.arguments("compare_runs") == {"runs": ["plan-4c4c4c", "plan-zzzzzz"]}
    assert "plan-4c4c4c" in answer
    assert "plan-zzzzzz" in answer


def test_nothing_to_compare_with(later: Conversation) -> None:
    later.say("show plan-4c4c4c")
    assert "plan-4c4c4c" in later.say("compare it with the last one")
    assert "compare_runs" not in later.names


@pytest.mark.parametrize("message", ["why layer 0?", "为什么第0层重要？", "why is the first layer important?"])
def test_why_a_layer(later: Conversation, message: str) -> None:
    later.say("show analysis-3b3b3b")
    answer = later.say(message)
    assert "explain_method" in later.names
    assert "analysis-3b3b3b" in answer
    assert "https://" in answer  # the source of the method
    assert later.unsupported() == []


def test_the_layer_of_a_question_is_called_the_same_in_its_answer(later: Conversation) -> None:
    assert "**第 5 层**" in later.say("第五层重要吗？")
    assert "**第 5 层**" in later.say("第5层重要吗？")


def test_why_a_layer_that_is_not_there(later: Conversation) -> None:
    assert "6 layers" in later.say("why layer 17?")


def test_why_those_asks_about_the_plan(later: Conversation) -> None:
    answer = later.say("why did you drop those layers?")
    for layer in plan_run().result.remove:
        assert f"**Layer {layer}**" in answer
    assert "plan-4c4c4c" in answer


def test_questions_are_answered_from_earlier_sessions(later: Conversation, workflows: FakeWorkflows) -> None:
    assert "compression-5d5d5d" in later.say("how fast is it?")
    assert workflows.asked == []


def test_a_plan_is_made_on_the_analysis_of_an_earlier_session(later: Conversation) -> None:
    later.say("make minilm twice as fast")
    assert later.names == ["list_runs", "plan_compression", "compress_model"]
    assert later.arguments("plan_compression")["analysis"] == "analysis-3b3b3b"


def test_a_run_that_made_no_model_means_the_model_that_it_is_about(later: Conversation) -> None:
    later.say("analyze plan-4c4c4c by shap")
    assert later.names[-1] == "analyze_layers"
    assert later.arguments("analyze_layers") == {"model": "train-2a2a2a", "data": "demo:amazon", "methods": ["shap"]}
    answer = later.say("analyze plan-zzzzzz")  # and not the last model that was spoken of
    assert later.names == ["show_run"]
    assert "no run 'plan-zzzzzz'" in answer


@pytest.mark.parametrize("message", [PLAN, "which layers of minilm can I drop to make it twice as fast?"])
def test_an_older_analysis_is_not_used_after_a_new_training(later: Conversation, message: str) -> None:
    later.say(TRAIN)
    later.say(message)
    assert later.names == ["analyze_layers", "plan_compression"]


def test_after_a_failure_try_again_does_what_was_left(talk: Conversation, workflows: FakeWorkflows) -> None:
    def fail(_: Progress) -> None:
        raise LayerwiseError("the disk is full; make room")

    workflows.before["analyze"] = fail
    talk.say(TRAIN)
    answer = talk.say("which layers can I drop to make it twice as fast, and do it")
    assert talk.names == ["analyze_layers"]
    assert "the disk is full; make room" in answer
    workflows.before.clear()
    talk.say("try again")
    assert talk.names == ["analyze_layers", "plan_compression", "compress_model"]
    assert talk.arguments("plan_compression")["ratio"] == 2


def test_the_error_of_a_later_step_keeps_what_was_made(talk: Conversation, workflows: FakeWorkflows) -> None:
    def fail(_: Progress) -> None:
        raise LayerwiseError("no rows")

    workflows.before["plan"] = fail
    answer = talk.say(f"{TRAIN}, then tell me which layers I can drop to make it twice as fast, and do it")
    assert talk.names == ["train_model", "analyze_layers", "plan_compression"]
    assert "train-2a2a2a" in answer
    assert "analysis-3b3b3b" in answer
    assert talk.unsupported() == []


def test_memory_is_read_from_the_messages() -> None:
    facts = '{"run":"train-2a2a2a","kind":"train","status":"done","model":"demo:minilm","data":"demo:amazon"}'
    memory = Memory.of(
        [
            HumanMessage("compare plan-aaaaaa with plan-bbbbbb"),
            AIMessage("", response_metadata={"layerwise": {"goals": ["train"]}}),
            ToolMessage(facts, tool_call_id="1", name="train_model"),
            ToolMessage("no such run", tool_call_id="2", name="show_run", status="error"),
            AIMessage("from another language model"),
        ]
    )
    assert memory.frame is not None
    assert memory.frame.goals == ("train",)
    assert memory.focus == ["plan-aaaaaa", "plan-bbbbbb", "train-2a2a2a"]
    assert memory.made == ["train-2a2a2a"]
    assert memory.latest(["train"], model="demo:minilm") == "train-2a2a2a"
    assert memory.latest(["train"], model="demo:smollm2") is None
    assert memory.latest(["plan"]) == "plan-bbbbbb"
    assert memory.newer("train", "plan-aaaaaa")


def test_a_failed_run_is_not_what_it_means(later: Conversation) -> None:
    later.workspace.runs.save(train_run(run_id="train-ffffff", status="failed", result=None, error="no rows"))
    later.say("show train-ffffff")
    later.say("analyze minilm on amazon")
    assert later.arguments("analyze_layers")["model"] == "train-2a2a2a"
