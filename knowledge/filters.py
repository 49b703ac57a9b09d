"""Which runs are meant: by field, time, tag and what was measured."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Any, Literal

from pydantic import field_validator

from analyzers.errors import UsageError
from analyzers.records import Record, now

FEWER_IS_BETTER = ("loss", "perplexity", "latency_ms", "peak_memory_mb", "disk_mb", "parameters")

Comparator = Literal[">=", "<=", "!=", ">", "<", "="]

_CONDITION = re.compile(
    r"\s*(?:(?P<subject>[a-z][\w-]*)\.)?(?P<name>[a-z]\w*)\s*(?P<comparator>>=|<=|!=|==|=|>|<)\s*"
    r"(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*(?P<percent>%)?\s*",
    re.IGNORECASE,
)
_AGO = re.compile(r"(\d{1,5})\s*([hdw])", re.IGNORECASE)
_HOURS = {"h": 1, "d": 24, "w": 24 * 7}


class Condition(Record):
    """A range of one measurement. Without a subject: of the model that a run hands over (healed before dense)."""

    name: str
    subject: str = ""
    comparator: Comparator
    value: float


class Filters(Record):
    """What the runs that are wanted have in common; a field that is None or empty says nothing."""

    kind: str | None = None
    status: str | None = None
    model: str | None = None
    base_model: str | None = None  # the model at the start of the lineage: the one that no run produced
    data: str | None = None
    command: str | None = None
    since: datetime | None = None
    until: datetime | None = None  # this moment included
    where: tuple[Condition, ...] = ()
    tags: tuple[str, ...] = ()  # all of them
    pinned: bool | None = None

    @field_validator("where", mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        return tuple(condition(each) if isinstance(each, str) else each for each in given)


def condition(text: str) -> Condition:
    """Read `accuracy>=0.85`, `latency_ms < 20`, `healed.accuracy>85%`.

    Raises:
        UsageError: it is none.
    """
    found = _CONDITION.fullmatch(text)
    if not found:
        raise UsageError(
            f"{text!r} is no range of a measurement; write NAME, one of >= <= > < = !=, and a number, with the subject "
            "before the name if it matters: accuracy>=0.85, latency_ms<20, healed.accuracy>85%"
        )
    number = float(found["number"]) / (100 if found["percent"] else 1)
    sign: Any = "=" if found["comparator"] == "==" else found["comparator"]
    return Condition(
        name=found["name"].lower(), subject=(found["subject"] or "").lower(), comparator=sign, value=number
    )


def moment(text: str, *, end: bool = False, at: datetime | None = None) -> datetime:
    """Read a time: 2026-11-20, 2026-11-20 14:30, today, yesterday, 12h, 7d or 2w ago; UTC where no zone is given.

    Args:
        text: what a person wrote.
        end: a day means its last moment instead of its first.
        at: the present; a case of the tests.

    Raises:
        UsageError: it is none.
    """
    present = at or now()
    word = text.strip().lower()
    if ago := _AGO.fullmatch(word):
        return present - timedelta(hours=int(ago[1]) * _HOURS[ago[2]])
    day = {"today": present.date(), "yesterday": present.date() - timedelta(days=1)}.get(word)
    try:
        if day is None and re.fullmatch(r"\d{4}-?\d\d-?\d\d", word):
            day = datetime.fromisoformat(word).date()
        if day is not None:
            return datetime.combine(day, time.max if end else time.min, UTC)
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"{text!r} is no time; write a day (2026-11-20), a time (2026-11-20T14:30), today, yesterday, "
            "or how long ago: 12h, 7d, 2w"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def span(text: str, *, at: datetime | None = None) -> tuple[datetime, datetime | None]:
    """Read a stretch of time: today, yesterday, this week, last week (Monday to Sunday, UTC), this month, last month,
    a day, or since how long ago: 12h, 7d, 2w. The end is None where it has not come yet.

    Raises:
        UsageError: it is none.
    """
    present = at or now()
    midnight = datetime.combine(present.date(), time.min, UTC)
    week = midnight - timedelta(days=midnight.weekday())
    month = midnight.replace(day=1)
    last, a_moment = (month - timedelta(days=1)).replace(day=1), timedelta(microseconds=1)
    known: dict[str, tuple[datetime, datetime | None]] = {
        "this week": (week, None),
        "last week": (week - timedelta(days=7), week - a_moment),
        "this month": (month, None),
        "last month": (last, month - a_moment),
    }
    word = " ".join(text.lower().split())
    if word in known:
        return known[word]
    try:
        since, until = moment(word, at=present), moment(word, end=True, at=present)
        return since, until if until.time() == time.max and word != "today" else None
    except UsageError:
        raise UsageError(
            f"{text!r} is no stretch of time; write today, yesterday, this week, last week, this month, last month, a day "
            "(2026-11-20), or how long ago it began: 12h, 7d, 2w"
        ) from None
