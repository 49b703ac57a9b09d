"""An answer as passages: its sentences and cells, each with the numbers and the cues in it and what it stands under."""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from agent.grounding.facts import Facts
from agent.grounding.words import Cue, cues, pattern
from analyzers.run_ids import RUN_ID

_NAMES = re.compile(
    r"https?://\S+"
    r"|\b(?:demo|csv|jsonl|parquet|hf|gguf|amazon|ollama|openai):[^\s`,;)，；）。]+"
    r"|(?<![\w.])(?:~|\.{0,2})/[\w./-]*\w"
    r"|(?<![\w.])(?:[a-z_.][\w./-]*[-/_])[\w./-]*\w"  # bert-base-uncased, org/model-2, but not 3.1e-7 or 12ms/text
    r"|\b[a-z]+\d[\w.]*"  # f1, smollm2
    r"|\b(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{8,64}\b",  # checksums
    re.IGNORECASE | re.ASCII,
)
_LIST_MARK = re.compile(r"^\s*\d+[.)]\s", re.MULTILINE)
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s")
_SENTENCE = re.compile(r"(?<=[.!?])(?<!vs\.)(?<!e\.g\.)(?<!i\.e\.)(?<!approx\.)\s+|(?<=[。！？])")
_CLAUSE = re.compile(r"[;；，]|,(?!\s?\d)|\s(?:while|whereas|but)\s|。")
_D = r"[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d+)?"
_UNIT = (
    r"%|percent(?:age)?(?: points?)?\b|points?\b|pp\b|个?百分点|k\b|thousand\b|M\b|million\b|G\b|billion\b|万|亿|×|x\b|times\b|-?fold\b"
    r"|倍|(?:ms|milliseconds?)\b|毫秒|(?:s|seconds?)\b|秒|(?:MB|megabytes?)\b|(?:st|nd|rd|th)\b"
)
_NUMBER = re.compile(
    rf"(?<![\w.,])(?P<number>{_D})(?: ?(?P<unit>{_UNIT}))?"
    rf"(?P<interval>(?: for \d+ texts)?(?:\s?[^\s\d,，;；|.。:：()（）\[\]]{{1,16}}){{0,3}}?[\s*]*(?:[\[(（]|, *(?=CI\b|confidence|置信|区间))(?:[^\d\])）]{{0,24}}|95 ?%[^\d\])）]{{0,24}})(?P<low>{_D}) ?%?(?: ?(?:to|and|–|—|-|,|至|到|~) ?)"
    rf"(?P<high>{_D}) ?%?(?: ?(?:ms|MB|nats|M|×))?[\])）])?",
    re.IGNORECASE | re.ASCII,
)
_RANGE = re.compile(
    rf"(?<![\w.,])(?P<low>{_D}) ?(?:%|ms|MB)? ?(?:to|and|–|至|到) ?(?P<high>{_D})(?: ?(?P<unit>%|percent\b|ms\b|MB\b))?",
    re.IGNORECASE | re.ASCII,
)
_RANGE_BEFORE = re.compile(
    r"(?:between|interval|range[sd]?(?: from)?|区间|介于|范围)(?:[^\d.;。；]{0,16})$", re.IGNORECASE
)
_INTERVALS = re.compile(r"interval|\bCIs?\b|区间", re.IGNORECASE)
_JOIN = r"\s*\**\s*(?:,|and|or|&|、|，|和|与|及|或|,\s*and)\s*\**\s*"
_INTS = rf"\d{{1,3}}(?:{_JOIN}\d{{1,3}})*(?!\d|\.\d|%|,\d| ?(?:%|ms|MB|times|x\b|points|percent))"
_LAYERS = re.compile(
    rf"\b(?:layers?|blocks?)\s*(?:numbers?\s*|indices\s*|#)?\**\s*(?P<list>{_INTS})"
    r"(?P<to>\s*(?:to|through|–|-)\s*\d{1,3}(?![\d.]))?",
    re.IGNORECASE,
)
_CHINESE_LAYERS = re.compile(
    rf"第\s*\**\s*(?P<list>{_INTS})(?P<to>\s*(?:–|-|至|到)\s*(?:第\s*)?\d{{1,3}})?\s*\**\s*层"
    r"(?:(?:、|和|与|及)\s*第\s*\**\s*\d{1,3}\s*\**\s*层)*"
)
_BARE_LIST = re.compile(
    rf"(?<![\w.,\[])\d{{1,3}}(?:{_JOIN}\d{{1,3}})+(?!\d|\.\d|%|,\d| ?(?:%|ms|MB|times|[xMG]\b|points|percent))"
)
_AFTER_LIST_WORD = re.compile(
    r"(?:first|last|order|keeps?|kept|keeping|remov\w+|drop\w*|important|保留|去掉|重要|名次|[:：>])[^\d.;。；]{0,12}$",
    re.IGNORECASE,
)


class Token(NamedTuple):
    """One number, or a list of layers, as it is written."""

    kind: str  # quantity, range, layers, list
    start: int  # in the passage
    end: int
    text: str
    unit: str = ""
    low: str | None = None
    high: str | None = None
    layers: tuple[int, ...] = ()
    body: int = 0  # where the number and its unit end, and an interval may begin


class Passage(NamedTuple):
    text: str  # names, quotes and constants are blank
    start: int  # in the answer
    tokens: tuple[Token, ...]
    cues: tuple[Cue, ...]
    clauses: tuple[tuple[int, int], ...]
    above: tuple[int, ...]  # passages that say what this one is about, the nearest first
    cell: bool = False  # of a table
    line: int = 0


def read(answer: str, facts: Facts) -> list[Passage]:
    """The passages of an answer."""
    text = _blank_quotes(answer, facts)
    for expression in (pattern("confidence"), pattern("scales")):
        text = expression.sub(lambda match: " " * len(match[0]), text)
    with_methods = [each.methods for each in facts.numbers] + [each.methods for each in facts.lists]
    methods = tuple(sorted({method for each in with_methods for method in each}))
    names = tuple(sorted({each.name for each in facts.numbers} - set(methods)))
    return [
        _passage(text[start:end], cell, methods, names)._replace(
            start=start, above=above, line=answer.count("\n", 0, start)
        )
        for start, end, above, cell in _layout(text)
    ]


def _blank_quotes(answer: str, facts: Facts) -> str:
    """The answer without what it quotes word by word from a result, longest first."""
    text = answer
    quotes = {each.text.strip() for each in facts.quotes if each.path != "said"}
    for quote in sorted(quotes, key=len, reverse=True):
        if len(quote) >= 8 and (re.search(r"[^\W\d]", quote) or re.match(r"\d{4}-\d\d-\d\d", quote)):
            text = text.replace(quote, " " * len(quote))
    return text


def _layout(text: str) -> Iterator[tuple[int, int, tuple[int, ...], bool]]:
    """Start, end, what stands above, and whether it is a cell, of each sentence and each cell of a table."""
    header: list[int] = []
    lead: list[int] = []  # the sentences of the last line that introduces what follows it
    before: list[int] = []  # sentences of this paragraph
    count = position = 0
    for line in text.splitlines(keepends=True):
        start, position = position, position + len(line)
        bare = line.strip()
        if not bare:
            before = []
            if not lead or not lead_open(text, start):
                lead = []
            continue
        if bare.startswith("|"):
            if re.fullmatch(r"[|\s:-]+", bare):
                continue
            cells = [
                (match.start() + start, match.end() + start)
                for match in re.finditer(r"[^|\n]+", line)
                if match[0].strip()
            ]
            row = list(range(count, count + len(cells)))
            for column, (first, last) in enumerate(cells):
                above = [header[column]] if header and column < len(header) else []
                yield first, last, (*([row[0]] if column else []), *above), True
            count += len(cells)
            header = header or row
            continue
        header = []
        bullet = bool(_BULLET.match(line))
        if bullet:
            before = []
        elif re.search(r"[:：]\**$", bare) or bare.startswith("#"):
            lead = []
        sentences = []
        mark = _LIST_MARK.match(line)
        at = mark.end() if mark else 0
        for match in [*_SENTENCE.finditer(line, at), None]:
            stop = match.start() if match else len(line)
            if line[at:stop].strip():
                yield start + at, start + stop, (*reversed(before), *reversed(lead)), False
                sentences.append(count)
                before.append(count)
                count += 1
            at = match.end() if match else stop
        if not bullet and (re.search(r"[:：]\**$", bare) or bare.startswith("#")):
            lead, before = sentences, []


def lead_open(text: str, start: int) -> bool:
    """Whether a list goes on, or begins, after an empty line."""
    rest = text[start:].lstrip()
    return bool(_BULLET.match(rest)) or rest.startswith("|")


@lru_cache(maxsize=4096)
def _passage(text: str, cell: bool, methods: tuple[str, ...], names: tuple[str, ...]) -> Passage:
    named = cues(text, methods, names)
    blank = RUN_ID.sub(lambda match: " " * len(match[0]), text)
    blank = _NAMES.sub(lambda match: " " * len(match[0]) if re.search(r"\d", match[0]) else match[0], blank)
    tokens = sorted(_tokens(blank, cell), key=lambda token: token.start)
    named += [Cue("layer", token.layers, token.start, token.end) for token in tokens if token.kind == "layers"]
    inside = [match.span() for match in re.finditer(r"[\[(（][^\])）]*[\])）]", blank)]
    cuts = [each for each in _CLAUSE.finditer(blank) if not any(a < each.start() < b for a, b in inside)]
    edges = [0, *(each.end() for each in cuts), len(text)]
    clauses = tuple(pairwise(edges))
    return Passage(blank, 0, tuple(tokens), tuple(sorted(named, key=lambda cue: cue.start)), clauses, (), cell)


def _tokens(text: str, cell: bool) -> Iterator[Token]:
    free = text
    for match in (*_LAYERS.finditer(text), *_CHINESE_LAYERS.finditer(text)):
        first = match.start("list")
        layers = [int(each) for each in re.findall(r"\d+", text[first : match.end()])]
        if match["to"]:
            layers = [*layers[:-2], *range(layers[-2], layers[-1] + 1)]
        yield Token("layers", first, match.end(), text[first : match.end()], layers=tuple(layers))
        free = _cut(free, match.start(), match.end())
    for match in _BARE_LIST.finditer(free):
        layers = [int(each) for each in re.findall(r"\d+", match[0])]
        if len(layers) > 2 or cell or _AFTER_LIST_WORD.search(free[: match.start()]):
            yield Token("list", match.start(), match.end(), match[0], layers=tuple(layers))
            free = _cut(free, match.start(), match.end())
    for match in _RANGE.finditer(free):
        ahead = free[: match.start()]
        if _RANGE_BEFORE.search(ahead) or (_INTERVALS.search(ahead) and re.search(r"[\[(（]$", ahead)):
            low, high = match["low"], match["high"]
            yield Token("range", match.start(), match.end(), match[0], (match["unit"] or "").lower(), low, high)
            free = _cut(free, match.start(), match.end())
    for match in _NUMBER.finditer(free):
        unit = (match["unit"] or "").lower()
        yield Token("quantity", match.start(), match.end(), match["number"], unit, match["low"], match["high"],
                    body=match.end("unit") if match["unit"] else match.end("number"))  # fmt: skip


def _cut(text: str, start: int, end: int) -> str:
    return text[:start] + " " * (end - start) + text[end:]
