"""Run the cases with a language model, and count."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from agent.chat import ChatSession
from agent.evaluation.cases import Case, Made, judge
from agent.evaluation.plain import PlainAgent, tokens_of
from agent.evaluation.recorded import RecordedWorkflows, furnish
from agent.events import Answer, Failed, ToolFailed, ToolStarted
from agent.llm import LanguageModel
from analyzers.records import Estimate, Record
from tools.workspace import Workspace

MEMORY = Path("/dev/shm")  # a disk waits for each step of a conversation to be written


class Outcome(Record):
    """How one case went."""

    name: str
    group: str
    refrains: bool
    passed: bool
    problems: tuple[str, ...]
    calls: tuple[str, ...]
    answers: tuple[str, ...]
    tokens: int  # read and written by the model; 0 for the planner
    seconds: float


class Score(Record):
    """Of a set of cases: success with its 95 % interval, and what it cost."""

    agent: str  # layerwise, or plain: create_agent with the same tools
    llm: str
    cases: int
    passed: int
    success: Estimate
    refraining: Estimate | None  # success of the cases where nothing is to be called; None: there were none
    groups: dict[str, str]  # group -> passed of how many
    tokens: int
    seconds: float
    outcomes: tuple[Outcome, ...]


def evaluate(
    llm: LanguageModel,
    cases: Sequence[Case],
    *,
    plain: bool = False,
    tell: Callable[[Outcome], None] = lambda _: None,
) -> Score:
    """Success of a language model on the cases.

    Args:
        llm: the language model.
        cases: what to run.
        plain: LangChain's `create_agent` alone instead of Layerwise's conversation, with the same tools.
        tell: called after each case.
    """
    outcomes = []
    for case in cases:
        outcomes.append(_outcome(llm, case, plain))
        tell(outcomes[-1])
    return score("plain" if plain else "layerwise", llm.name, outcomes)


def score(agent: str, llm: str, outcomes: Sequence[Outcome]) -> Score:
    """Count outcomes, which may come from several parts of an evaluation."""
    groups = {group: [each.passed for each in outcomes if each.group == group] for group in _groups(outcomes)}
    return Score(
        agent=agent,
        llm=llm,
        cases=len(outcomes),
        passed=sum(each.passed for each in outcomes),
        success=_share([each.passed for each in outcomes]),
        refraining=_share(refraining) if (refraining := [e.passed for e in outcomes if e.refrains]) else None,
        groups={group: f"{sum(passed)} of {len(passed)}" for group, passed in groups.items()},
        tokens=sum(each.tokens for each in outcomes),
        seconds=round(sum(each.seconds for each in outcomes), 1),
        outcomes=tuple(outcomes),
    )


def _outcome(llm: LanguageModel, case: Case, plain: bool) -> Outcome:
    problems: list[str] = []
    calls: list[str] = []
    answers: list[str] = []
    started = time.perf_counter()
    place = MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="layerwise-eval-", dir=place, ignore_cleanup_errors=True) as folder:
        workspace = Workspace(home=Path(folder) / "home", cache=Path(folder) / "cache")
        furnish(workspace, case.state, case.taint)
        talk = PlainAgent(llm, workspace, RecordedWorkflows()) if plain else _Talk(llm, workspace)
        try:
            for number, turn in enumerate(case.turns, 1):
                made, answer = talk.say(turn.say)
                wrong = judge(turn, made, answer)
                problems += [f"turn {number}: {each}" for each in wrong] if len(case.turns) > 1 else wrong
                calls += [f"{call.tool}({', '.join(f'{k}={v}' for k, v in call.arguments.items())})" for call in made]
                answers.append(answer)
            tokens = talk.tokens()
        finally:
            talk.close()
    return Outcome(
        name=case.name,
        group=case.group,
        refrains=case.refrains,
        passed=not problems,
        problems=tuple(problems),
        calls=tuple(calls),
        answers=tuple(answers),
        tokens=tokens,
        seconds=round(time.perf_counter() - started, 2),
    )


class _Talk:
    """A conversation as users have it."""

    def __init__(self, llm: LanguageModel, workspace: Workspace) -> None:
        self._session = ChatSession(llm, workspace, workflows=RecordedWorkflows(), approve="all")

    def say(self, text: str) -> tuple[list[Made], str]:
        made: dict[str, Made] = {}
        answer = ""
        for event in self._session.stream(text):
            match event:
                case ToolStarted(call_id=call_id, name=name, arguments=arguments):
                    made[call_id] = Made(name, arguments)
                case ToolFailed(call_id=call_id, name=name):  # what is wrong with its arguments never starts
                    made[call_id] = made.get(call_id, Made(name, {}))._replace(failed=True)
                case Answer(text=said):
                    answer = said
                case Failed(message=message):
                    answer = message
        return list(made.values()), answer

    def tokens(self) -> int:
        return tokens_of(self._session._messages())

    def close(self) -> None:
        self._session.close()


def _share(passed: Sequence[bool]) -> Estimate:
    """With Wilson's interval, which is no point where every case passed: resampling would say 100 to 100 %."""
    from scipy.stats import binomtest

    found = binomtest(sum(passed), len(passed)).proportion_ci(method="wilson")
    return Estimate(value=sum(passed) / len(passed), low=float(found.low), high=float(found.high))


def _groups(outcomes: Sequence[Outcome]) -> Iterator[str]:
    yield from dict.fromkeys(each.group for each in outcomes)
