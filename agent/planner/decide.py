"""From the messages of a conversation to the next tool call or the answer."""

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import BaseMessage, ToolMessage

from agent.planner import questions, work
from agent.planner.answers import render
from agent.planner.memory import Frame, Memory, facts_of, last_of_user
from agent.planner.reading import Reading, read
from agent.planner.task import understand
from agent.planner.turn import Ask, Call, Reply, Script, StepFailed, Turn
from agent.refusals import is_refusal, reason_of
from analyzers.errors import LanguageModelError

_SCRIPTS: dict[str, Callable[[Turn], Script[Any]]] = {
    **questions.SCRIPTS,
    "train": work.train,
    "analyze": work.analyze,
    "plan": work.plan,
    "compress": work.compress,
    "evaluate": work.evaluate,
    "export": work.export,
    "report": work.report,
}


def decide(messages: Sequence[BaseMessage]) -> tuple[Call | Reply, Frame | None]:
    """The next step of the conversation, and the frame to remember with it.

    Raises:
        LanguageModelError: the conversation was changed between two steps and cannot be continued.
    """
    last = last_of_user(messages)
    if last < 0:
        raise LanguageModelError("the conversation holds no message of a user; send one")
    memory = Memory.of(messages[:last])
    results = [message for message in messages[last + 1 :] if isinstance(message, ToolMessage)]
    reading = read(messages[last].text)
    memory.name(reading.slots.runs)
    task = understand(reading, memory)
    if task is None:
        reply = _talk(reading, memory)
        return reply, reply.frame
    turn = Turn(task, memory)
    return _replay(_converse(turn), results), turn.frame()


def _replay(script: Script[Reply], results: list[ToolMessage]) -> Call | Reply:
    """Run the script with the results that there are, up to the call that has none yet."""
    try:
        call = next(script)
        for result in results:
            if result.name != call.tool:
                raise LanguageModelError(f"a result of {result.name} stands where {call.tool} was called; ask again")
            if is_refusal(result):
                call = script.throw(StepFailed(call, reason_of(result), refused=True))
            elif result.status == "error":
                call = script.throw(StepFailed(call, result.text))
            else:
                call = script.send(facts_of(result))
        return call
    except StopIteration as end:
        return end.value


def _converse(turn: Turn) -> Script[Reply]:
    """Reach the goals one after the other, and tell what came out."""
    language = turn.task.language
    sections: list[str] = []
    try:
        work.check_asked(turn)
        for position, goal in enumerate(turn.task.goals):
            turn.rest = turn.task.goals[position:]
            before = len(turn.produced)
            name, values = yield from _SCRIPTS[goal](turn)
            for run in turn.produced[before:-1]:  # what the goal needed first
                sections.append(render(language, "shown", run=turn.memory.runs[run]))
            sections.append(render(language, name, **values))
    except Ask as asked:
        question = render(language, f"ask_{asked.slot}", **asked.values)
        frame = turn.frame(asked=asked.slot, proposal=asked.proposal)
        return Reply("\n\n".join([*sections, question]), frame)
    except StepFailed as failed:
        name = "refused" if failed.refused else "failed"
        problem = render(
            language, name, tool=failed.call.tool, message=failed.message, kept=turn.produced, rest=turn.rest
        )
        return Reply("\n\n".join([*sections, problem]), turn.frame())
    earlier = turn.memory.frame
    goals = earlier.goals if earlier and turn.task.goals == ("reason",) else turn.task.goals
    done = Frame(goals=goals, slots=turn.slots)
    return Reply("\n\n".join(sections), done)


def _talk(reading: Reading, memory: Memory) -> Reply:
    """An answer without any tool: to a greeting, to a question how something is done, to what was not understood."""
    language, frame = reading.language, memory.frame
    if reading.asked_how:
        return Reply(render(language, "how", steps=reading.asked_how), frame)
    if reading.talk in ("deny", "refuse"):
        return Reply(render(language, "denied"), None)
    if reading.talk:
        return Reply(render(language, reading.talk, waiting=bool(frame and frame.asked)), frame)
    if reading.slots.named - {"when", "where", "export", "precision", "out", "language"} and not (
        frame and frame.asked
    ):
        wish = Frame(slots=reading.slots, asked="goal")
        return Reply(render(language, "ask_goal", models=reading.slots.models, data=reading.slots.data), wish)
    return Reply(render(language, "not_understood", asked=frame.asked if frame else None), frame)
