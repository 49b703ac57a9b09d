"""Wrong answers made from good ones: a number changed, two swapped, a digit dropped, a layer, method or model exchanged.

Nothing here knows how the check works. A mutation that still says the truth is no mutation: a shorter rounding of the same
number, two equal numbers swapped, or the members of one set of layers in another order.
"""

import random
import re
from collections.abc import Iterator
from typing import NamedTuple

METHODS = ["Fisher", "gradient", "ablation", "mutual information", "conductance", "SHAP"]
SUBJECTS = {"dense": "healed", "healed": "dense", "原模型": "修复后的模型", "修复后的模型": "原模型"}
_NO_CLAIM = re.compile(
    r"`[^`]*`|https?://\S+|\b[a-z]+-\w{6}\b|\b(?:demo|csv):\S+|\d{4}-\d\d-\d\d \d\d:\d\d|^\d+\. |\bF1\b", re.MULTILINE
)
_NUMBER = re.compile(r"(?<![\w.])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e-?\d+)?(?!\d)")
_SET = re.compile(
    r"(?:layers?:? |第 ?)\**\d+(?:(?:, | and |、|, and )\d+)+|(?:keep|保留) (?:layers )?\d+(?:, \d+)+|removes \d+(?:, \d+)+|去掉 \d+(?:, \d+)+|\[\d+(?:, \d+)+\]",
    re.IGNORECASE,
)


class Mutation(NamedTuple):
    kind: str
    text: str
    what: str


def mutations(answer: str, dice: random.Random) -> Iterator[Mutation]:
    """Every kind of mutation of the answer; of swaps as many as it has numbers."""
    numbers = _numbers(answer)
    for start, end in numbers:
        yield _put("change", answer, start, end, _changed(answer[start:end], dice))
        if dropped := _dropped(answer[start:end], dice):
            yield _put("drop", answer, start, end, dropped)
    for first in numbers:
        others = [each for each in numbers if _value(answer, each) != _value(answer, first)]
        if others and not _one_set(answer, first, second := dice.choice(others)):
            yield _swap(answer, *sorted((first, second)))
    for match in re.finditer(r"(?<=layer )\d+\b|(?<=第 )\d+(?= 层)", answer, re.IGNORECASE):
        other = dice.choice([each for each in range(6) if each != int(match[0])])
        if _speaks_of_values(answer, match.start()):
            yield _put("layer", answer, match.start(), match.end(), str(other))
    for match in re.finditer(rf"\b(?:{'|'.join(METHODS)})\b", answer):
        line = _line(answer, match.start())
        others = [each for each in METHODS if each.lower() not in line.lower()]  # "Fisher and Fisher agree" is no claim
        other = dice.choice(others or [each for each in METHODS if each != match[0]])
        if _speaks_of_values(answer, match.start()):
            mutation = _put("method", answer, match.start(), match.end(), other)
            if not _said_already(answer, mutation.text, match.start()):  # e.g. of two pairs with the same tau
                yield mutation
    for match in re.finditer("|".join(SUBJECTS), answer):
        if _speaks_of_values(answer, match.start()):
            yield _put("subject", answer, match.start(), match.end(), SUBJECTS[match[0]])


def _numbers(answer: str) -> list[tuple[int, int]]:
    taken = [match.span() for match in _NO_CLAIM.finditer(answer)]
    found = [match.span() for match in _NUMBER.finditer(answer)]
    return [(a, b) for a, b in found if not any(start <= a < end for start, end in taken)]


def _value(answer: str, span: tuple[int, int]) -> float:
    return float(answer[slice(*span)].replace(",", ""))


def _changed(number: str, dice: random.Random) -> str:
    """Another first digit, or another one further on."""
    places = [i for i, digit in enumerate(number) if digit.isdigit() and "e" not in number[:i]]
    place = dice.choice(places)
    digits = [each for each in "123456789" if each != number[place]]
    return number[:place] + dice.choice(digits) + number[place + 1 :]


def _dropped(number: str, dice: random.Random) -> str | None:
    """The number without one digit, or without its point, unless that is only a shorter rounding of it."""
    number = number.replace(",", "")
    places = [i for i, digit in enumerate(number) if (digit.isdigit() or digit == ".") and "e" not in number[:i]]
    dice.shuffle(places)
    for place in places:
        left = number[:place] + number[place + 1 :]
        if not re.fullmatch(r"\d[\d,]*(?:\.\d+)?(?:e-?\d+)?", left) or re.match(r"0\d", left):
            continue
        decimals = len(left.partition("e")[0].partition(".")[2])
        step = 10.0 ** (int(left.partition("e")[2] or 0) - decimals)
        if abs(float(left.replace(",", "")) - float(number.replace(",", ""))) > 0.51 * step:
            return left
    return None


def _one_set(answer: str, first: tuple[int, int], second: tuple[int, int]) -> bool:
    return any(
        a <= min(first[0], second[0]) and max(first[1], second[1]) <= b
        for a, b in map(re.Match.span, _SET.finditer(answer))
    )


def _speaks_of_values(answer: str, position: int) -> bool:
    """Whether a measured number stands in the same line."""
    return bool(re.search(r"\d\.\d", _line(answer, position)))


def _line(answer: str, position: int) -> str:
    start, end = answer.rfind("\n", 0, position) + 1, answer.find("\n", position)
    return answer[start : end if end >= 0 else None]


def _said_already(answer: str, text: str, position: int) -> bool:
    """Whether the answer has the changed line anyway, its words in any order."""
    changed = text[text.rfind("\n", 0, position) + 1 :].partition("\n")[0]
    return any(_bag(line) == _bag(changed) for line in answer.splitlines())


def _bag(line: str) -> list[str]:
    return sorted(re.findall(r"[\w.]+", line.lower()))


def _put(kind: str, answer: str, start: int, end: int, new: str) -> Mutation:
    return Mutation(
        kind,
        answer[:start] + new + answer[end:],
        f"{answer[start:end]} -> {new} in {answer[max(0, start - 40) : end + 30]!r}",
    )


def _swap(answer: str, first: tuple[int, int], second: tuple[int, int]) -> Mutation:
    (a, b), (c, d) = first, second
    text = answer[:a] + answer[c:d] + answer[b:c] + answer[a:b] + answer[d:]
    return Mutation("swap", text, f"{answer[a:b]} <-> {answer[c:d]} in {answer[max(0, a - 30) : d + 30]!r}")
