"""From what a model says to an answer that is backed: checked against the facts, asked for once more, else retold.

A number without a fact goes back to the language model with the list of what failed. Does the second try fail too, the
reader gets what the tools found, in the words of the built-in planner.
"""

from collections.abc import Callable, Iterable, Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from agent.events import Answer, Backed
from agent.grounding import check, facts_of
from agent.planner.answers import render
from agent.planner.memory import last_of_user
from agent.planner.reading import language_of
from agent.planner.retell import retell
from analyzers.records import Run
from analyzers.run_ids import RUN_ID
from prompts import load


def backed(text: str, told: Sequence[str], said: str, find: Callable[[str], Run | None]) -> Answer:
    """The answer with the fact behind each number, and what has none.

    Args:
        text: of the model.
        told: what the tools of the turn said.
        said: the message that is answered.
        find: a run by its id; None where there is none.
    """
    cited = list(dict.fromkeys(RUN_ID.findall(text)))
    named = {*cited, *RUN_ID.findall(" ".join(told))}
    known = {run_id: run for run_id in sorted(named) if (run := find(run_id))}
    checked = check(text, facts_of(told, known.values(), said))
    missing = [f"{each.number} in '{each.context}': {each.reason}" for each in checked.unsupported]
    missing += [f"there is no run {each}" for each in cited if each not in known and each not in f"{told} {said}"]
    return Answer(
        text=text,
        run_ids=tuple(run_id for run_id in cited if run_id in known),
        grounded=not missing,
        unsupported=tuple(missing),
        facts=tuple(Backed(**each.model_dump()) for each in checked.verified),
    )


def once_more(ask: Callable[[list[BaseMessage]], BaseMessage], messages: Iterable[BaseMessage], refused: Answer) -> str:
    """What the model says when it is told which of its numbers have no fact; empty where it calls a tool instead."""
    again = load("correction.md").format(missing="\n".join(f"- {each}" for each in refused.unsupported))
    reply = ask([SystemMessage(load("system.md")), *messages, HumanMessage(again)])
    return "" if isinstance(reply, AIMessage) and reply.tool_calls else str(reply.text)


def retold(messages: Sequence[BaseMessage], said: str) -> str:
    """What the tools of the turn found, in the words of the templates.

    Args:
        messages: of the conversation; those after the last of the user are the turn.
        said: the message that is answered; the answer is in its language.
    """
    language = language_of(said)
    return render(language, "instead", told=retell(messages[last_of_user(messages) + 1 :], language))
