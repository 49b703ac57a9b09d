"""From a message to what is wanted: goals in order, slots, language."""

import re
from functools import cache
from typing import Any, Literal, NamedTuple

from agent.planner.slots import Slots, extract
from agent.planner.tables import pattern, tables
from analyzers.records import Record

Language = Literal["en", "zh"]


def language_of(text: str) -> Language:
    """Chinese as soon as one of its characters is there."""
    return "zh" if re.search(r"[\u4e00-\u9fff]", text) else "en"


LONGEST = 2000  # characters that are read; the time grows with their square, and nobody types more


class Reading(Record):
    """What one message says by itself, before the conversation is taken into account."""

    text: str
    language: Language
    goals: tuple[str, ...] = ()  # names of the goals in prompts/intents.yaml, in the order of the message
    talk: str | None = None  # greeting, thanks, ... where no goal was found
    asked_how: tuple[str, ...] = ()  # work that was asked about, not ordered: "how do I train a model?"
    slots: Slots = Slots()
    query: str = ""  # of a search
    step: str = ""  # of "what is fidelity?"
    previous: bool = False  # "the last one"
    kinds: tuple[str, ...] = ()  # kinds of runs that are named
    metrics: tuple[str, ...] = ()  # measurements that are named
    definite: bool = False  # "the trained model", "this model"
    insists: bool = False  # "delete it anyway"
    follow_up: bool = False  # "and by shap?"
    bare: bool = False  # values and hardly a word more: "and with ratio 3?"

    @property
    def filters(self) -> dict[str, Any]:
        """Which runs it means, as arguments of `list_runs`: only what it says itself, not what was spoken of before."""
        said = self.slots
        found = {
            "kind": next(iter(self.kinds), None),
            "model": next(iter(said.models), None),
            "data": next(iter(said.data), None),
            "when": said.when,
            "where": list(said.where),
            "best": said.best,
        }
        return {name: value for name, value in found.items() if value}


class _Goal(NamedTuple):
    name: str
    work: bool
    question: bool
    patterns: tuple[re.Pattern[str], ...]


class _Found(NamedTuple):
    start: int
    goal: _Goal
    match: re.Match[str]

    @property
    def of_size(self) -> bool:
        """Whether only a size is there, and no word for the work: "keep four layers"."""
        return self.goal.name == "compress" and self.match[0].startswith("<")


def read(message: str) -> Reading:
    """Read one message. Never fails; what is not understood leaves `goals` and `talk` empty."""
    language = language_of(message)
    message = message[:LONGEST]
    slots, text = extract(message)
    wanted: list[str] = []
    asked: list[str] = []
    query = step = best = ""
    unwanted: set[str] = set()
    implied: set[str] = set()  # goals that only a size stands for: "keep four layers"
    for clause in _clauses(text):
        asking = any(expression.search(clause) for expression in _both("asking"))
        everything = _find(clause)
        for found in everything:
            name = found.goal.name
            if _negated(clause[: found.start]):
                unwanted.add(name)
                continue
            if found.of_size and _of_a_plan(found, everything, clause):
                continue
            leads = re.match(r"(?:and|then|now|然后|并|就)", found.match[0].strip(), re.IGNORECASE)
            if asking and found.goal.work and not found.goal.question and not leads:
                asked.append(name)
                continue
            if name not in wanted:
                wanted.append(name)
                implied |= {name} if found.of_size else set()
            elif not found.of_size:
                implied.discard(name)
            groups = found.match.groupdict()
            query = query or (groups.get("query") or "").strip(" :：,，'\"")
            best = best or next((text for name, text in groups.items() if name.startswith("best") and text), "").lower()
            step = step or (groups.get("step") or groups.get("step2") or "").lower()
    wanted = [name for name in wanted if not (name in implied and name in unwanted)]
    return Reading(
        text=message,
        language=language,
        goals=tuple(wanted),
        talk=None if wanted or asked else "refuse" if unwanted else _talk(message),
        asked_how=() if wanted else tuple(dict.fromkeys(asked)),
        slots=slots.over(Slots(best=tables()["best"][best])) if best else slots,
        query=_restore(query, message),
        step=step,
        previous=any(expression.search(message) for expression in _both("previous")),
        definite=any(expression.search(message) for expression in _both("definite")),
        insists=any(expression.search(message) for expression in _both("insists")),
        follow_up=any(expression.search(message) for expression in _both("follow_up")),
        kinds=_named("kinds", text),
        metrics=_named("metrics", message),
        bare=_bare(text),
    )


def _named(table: str, text: str) -> tuple[str, ...]:
    """The entries of a table whose words are there, in its order."""
    found = tables()[table].items()
    return tuple(name for name, words in found if any(pattern(each).search(text) for each in words.values()))


def _bare(text: str) -> bool:
    rest = re.sub(r"<\w+_>", " ", text)
    for expression in _both("fillers"):
        rest = expression.sub(" ", rest)
    return not re.search(r"\w", rest)


def _find(clause: str) -> list[_Found]:
    """The goals in a clause, in the order of the text. What an earlier goal of the table matched is used up."""
    free = clause
    found = []
    for goal in _goals():
        for expression in goal.patterns:
            while match := expression.search(free):
                if not match[0].strip():
                    break
                found.append(_Found(match.start(), goal, match))
                free = f"{free[: match.start()]}{'·' * len(match[0])}{free[match.end() :]}"
    return sorted(found, key=lambda each: each.start)


def _of_a_plan(size: _Found, everything: list[_Found], clause: str) -> bool:
    """Whether a size says how small a plan shall be: "plan it, keep four layers", but not "plan it and keep four layers"."""
    if _one("joined").search(clause[: size.start]):
        return False
    plans = [found.start for found in everything if found.goal.name == "plan"]
    return any(
        start < size.start or re.fullmatch(r" ?(?:<\w*>?)?", clause[size.match.end() : start]) is not None
        for start in plans
    )


def _clauses(text: str) -> list[str]:
    return [clause.strip() for clause in _one("clauses").split(text) if clause and clause.strip()]


def _negated(before: str) -> bool:
    return any(expression.search(before) for expression in _both("negation"))


def _talk(message: str) -> str | None:
    for kind, words in tables()["talk"].items():
        if any(pattern(each).search(message) for each in words.values()):
            return str(kind)
    return None


def _restore(query: str, message: str) -> str:
    """The words of a search as they were written, where a slot stands in their place."""
    if "<" not in query:
        return query
    first = query.split()[0] if query.split() else ""
    start = message.lower().find(first.lower()) if "<" not in first else -1
    return message[start:].strip(" ?？.。!！") if start > 0 else message.strip(" ?？.。!！")


@cache
def _goals() -> tuple[_Goal, ...]:
    return tuple(
        _Goal(
            rule.get("goal", name),
            bool(rule.get("work")),
            bool(rule.get("question")),
            tuple(pattern(text) for text in [*rule.get("en", []), *rule.get("zh", [])]),
        )
        for name, rule in tables()["goals"].items()
    )


@cache
def _both(name: str) -> tuple[re.Pattern[str], ...]:
    return tuple(pattern(text) for text in tables()[name].values())


@cache
def _one(name: str) -> re.Pattern[str]:
    return pattern(tables()[name])
