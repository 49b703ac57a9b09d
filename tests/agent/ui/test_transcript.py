"""Events of turns as items."""

from datetime import UTC, datetime
from typing import Any

from agent.events import (
    Answer,
    ApprovalNeeded,
    Event,
    Failed,
    Stopped,
    Text,
    ToolFailed,
    ToolFinished,
    ToolNote,
    ToolProgress,
    ToolRefused,
    ToolStarted,
    Withdrawn,
)
from agent.sessions import Line
from agent.ui.transcript import Decided, Notice, Question, Reply, Said, Step, Transcript

ASKED = ApprovalNeeded(
    call_id="a",
    name="train_model",
    arguments={},
    reason="unknown",
    estimate=None,
    decisions=("approve", "refuse"),
    text="?",
)
BEGUN = ToolStarted(call_id="a", name="train_model", arguments={"model": "m"})


def told(*events: Event) -> list[Any]:
    transcript = Transcript()
    for event in events:
        transcript.take(event)
    return transcript.items


def test_a_step_goes_from_its_beginning_to_its_run() -> None:
    progress = ToolProgress(step="counting", done=1, total=4, fraction=0.25, seconds_left=3.0)
    (step,) = told(BEGUN, progress, ToolNote(text="a note"))
    assert (step.status, step.progress, step.notes, step.arguments) == (
        "running",
        progress,
        ("a note",),
        (("model", "m"),),
    )
    (step,) = told(BEGUN, ToolFinished(call_id="a", name="train_model", run_id="train-x", summary=""))
    assert (step.status, step.run) == ("done", "train-x")
    (step,) = told(BEGUN, ToolFailed(call_id="a", name="train_model", message="no disk"))
    assert (step.status, step.message) == ("failed", "no disk")
    (step,) = told(ToolRefused(call_id="a", name="train_model", message="no"))
    assert (step.status, step.began) == ("refused", None)


def test_the_end_of_a_turn_ends_its_steps() -> None:
    step, notice = told(BEGUN, Stopped(message="stopped", run_ids=()))
    assert (step.status, notice) == ("stopped", Notice("stopped", "stopped", id=notice.id))
    step, notice = told(BEGUN, Failed(message="gone"))
    assert (step.status, notice.kind) == ("failed", "failed")


def test_pieces_of_an_answer_are_one_reply_which_the_whole_answer_replaces() -> None:
    (reply,) = told(Text(text="0."), Text(text="5"), Answer(text="0.5", run_ids=(), grounded=True))
    assert (reply.text, reply.whole) == ("0.5", True)
    first, _, second = told(Text(text="I look"), BEGUN, Text(text="found"))
    assert (first.whole, second.whole) == (True, False)
    notice, reply = told(
        Text(text="0.6"), Withdrawn(unsupported=("0.6",)), Answer(text="0.5", run_ids=(), grounded=True)
    )
    assert (notice.text, reply.text) == ("0.6", "0.5")


def test_a_question_is_open_until_it_is_decided_or_something_else_is_said() -> None:
    transcript = Transcript()
    transcript.take(ASKED)
    question = transcript.question()
    assert question is not None
    assert question.asked is ASKED
    transcript.decide("approve")
    assert transcript.question() is None
    assert [type(item) for item in transcript.items] == [Question, Decided]
    transcript.ask(ASKED)
    transcript.say("something else")
    assert transcript.question() is None


def test_messages_that_wait_stay_behind_what_belongs_to_the_turn_before_them() -> None:
    transcript = Transcript()
    transcript.say("first")
    waiting = transcript.say("second", waiting=True)
    transcript.take(Answer(text="one", run_ids=(), grounded=True))
    assert [getattr(item, "text", "") for item in transcript.items] == ["first", "one", "second"]
    transcript.sent(waiting)
    assert [(item.text, item.state) for item in transcript.items if isinstance(item, Said)][-1] == ("second", "sent")


def test_what_was_said_before_is_read_from_its_lines() -> None:
    def line(who: Any, text: str) -> Line:
        return Line(who=who, text=text, time=datetime.now(UTC))

    items = Transcript(
        [
            line("user", "hello"),
            line("step", "train_model(model=m, data=d): train-x"),
            line("step", "show_run(run=y): no run 'y'; the newest are z"),
            line("assistant", "Trained."),
        ]
    ).items
    assert [type(item) for item in items] == [Said, Step, Step, Reply]
    done, failed = (item for item in items if isinstance(item, Step))
    assert (done.name, done.arguments, done.status, done.run) == (
        "train_model",
        (("", "model=m, data=d"),),
        "done",
        "train-x",
    )
    assert (failed.status, failed.message) == ("failed", "no run 'y'; the newest are z")
