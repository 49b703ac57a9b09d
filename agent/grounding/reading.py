"""An answer as passages: its sentences and cells, each with the numbers and the cues in it and what it stands under."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from agent.grounding.facts import Facts
from agent.grounding.numbers import Token, tokens
from agent.grounding.words import Cue, cues, pattern
from analyzers.run_ids import RUN_ID

_NAMES = re.compile(
    r"https?://\S+"
    r"|\b(?:demo|csv|jsonl|parquet|hf|gguf|amazon|ollama|openai):[^\s`,;)，；）。]+"
    r"|(?<![\w.])(?:~|\.{0,2})/[\w./-]*\w"
    r"|(?<![\w.])(?:[a-z_.][\w./-]*[-/_])[\w./-]*\w"  # bert-base-uncased, org/model-2, but not 3.1e-7 or 12ms/text
    r"|\b(?!L\d+\b)[a-z]+\d[\w.]*"  # f1, smollm2
    r"|(?<!\d\.)\b(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{8,64}\b",  # checksums, but not the digits of 4.978240326636296e-07
    re.IGNORECASE | re.ASCII,
)
_IN_KEY = re.compile(r"(?<=[a-z])_(?=[a-z])", re.IGNORECASE)  # max_logit_difference, as a result calls it
_LIST_MARK = re.compile(r"^\s*\d+[.)]\s", re.MULTILINE)
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s")
_SENTENCE = re.compile(r"(?<=[.!?])(?<!vs\.)(?<!e\.g\.)(?<!i\.e\.)(?<!approx\.)\s+|(?<=[。！？])")
_CLAUSE = re.compile(r"[;；，]|,(?!\d)|\s(?:while|whereas|but)\s|。|(?<=[\d%)\]BMs]) [-–—]+ ")


_INTERVALS = re.compile(r"\bCI\b|interval|\brange\b|±|区间", re.IGNORECASE)
_LAYER_HEAD = re.compile(r"[\s*]*(?:layer(?: index| number| #)?|层|层号|层索引)[\s*]*", re.IGNORECASE)
_EPOCH_HEAD = re.compile(r"[\s*]*(?:epochs?|轮次?)[\s*]*", re.IGNORECASE)
_LABEL = re.compile(r"\s*(?:[-*•] )?\**\d{1,2}\**\s*[:：=]")
_PAIR = re.compile(r"(?<![\w.])\d{1,2}(?= ?[(（:：=] ?[-−]?\d+\.\d+(?! ?[%x×]))")
_ON_LAYERS = re.compile(r"\blayers?\b|层", re.IGNORECASE)
_ITEM = re.compile(
    r"\s*(?:and |or |和)?[-+−]?\d+(?:\.\d+)?(?!\.?\d) ?(?:%|ms|MB|nats|x|×)?\s*(?:[,;.，；。]|$|\band\b)"
)  # of a list of numbers
_LAYER_NOUN = re.compile(
    r"[ *-]*(?:(?:to|or|and) [a-z]+ )?(?:transformer |encoder |removed |kept |remaining )?(?:layers?|blocks?|removals?|deletions?)\b|\**个?层",
    re.IGNORECASE,
)
_ELLIPTIC = re.compile(
    r"\b(?:at|with|than|to|after) (?:only |just |all )?$", re.IGNORECASE
)  # "at six layers ...; at five, ..."
_COSTS = re.compile(r" (?:costs?|gets?|has|have|gives?|reach(?:es)?|loses?|leaves?) ")
_ONE_LAYER = re.compile(
    r"\b(?:a |one |just |only )?(?:single|(?<=just )one|(?<=only )one|one(?=-)|one(?= layer (?:removed|gone|less|left))|(?<=after )one|(?<=with )one)[- ]layer\b",
    re.IGNORECASE,
)


class Passage(NamedTuple):
    text: str  # names, quotes and constants are blank
    start: int  # in the answer
    tokens: tuple[Token, ...]
    cues: tuple[Cue, ...]
    clauses: tuple[tuple[int, int], ...]
    above: tuple[int, ...]  # passages that say what this one is about, the nearest first
    cell: bool = False  # of a table
    line: int = 0  # -1: of the message that is answered
    paragraph: int = 0
    mark: int | None = None  # of a numbered list


def read(answer: str, facts: Facts) -> list[Passage]:
    """The passages of an answer, and behind them those of the message that it answers, which stands above all."""
    passages = _passages(answer, facts)
    said = " ".join(each.text for each in facts.quotes if each.path == "said")
    if not said:
        return passages
    asked = [each._replace(above=(), cell=False, line=-1, paragraph=-1) for each in _passages(said, facts)]
    above = tuple(range(len(passages) + len(asked) - 1, len(passages) - 1, -1))
    return [*(each._replace(above=(*each.above, *above)) for each in passages), *asked]


def _passages(answer: str, facts: Facts) -> list[Passage]:
    text = _blank_quotes(answer, facts)
    for expression in (pattern("confidence"), pattern("scales")):
        text = expression.sub(lambda match: " " * len(match[0]), text)
    with_methods = [each.methods for each in facts.numbers] + [each.methods for each in facts.lists]
    methods = tuple(sorted({method for each in with_methods for method in each}))
    names = tuple(sorted({each.name for each in facts.numbers} - set(methods)))
    passages = [
        _passage(text[start:end], cell, methods, names)._replace(
            start=start,
            above=above,
            line=answer.count("\n", 0, start),
            paragraph=answer.count("\n\n", 0, start),
            mark=mark,
        )
        for start, end, above, cell, mark in _layout(text)
    ]
    return [_of_layer_label(_of_layer_column(passage, passages), passages) for passage in passages]


def _of_layer_column(passage: Passage, passages: Sequence[Passage]) -> Passage:
    """The passage; a bare number below "Layer" is the index of one."""
    heads = [passages[above].text for above in passage.above] if passage.cell else []
    if passage.text.strip(" *").isdigit() and any(_EPOCH_HEAD.fullmatch(head) for head in heads[-1:]):
        (token,) = passage.tokens
        return passage._replace(cues=(Cue("epoch", (int(token.text),), token.start, token.end),))
    if not (passage.text.strip(" *").isdigit() and any(_LAYER_HEAD.fullmatch(head) for head in heads)):
        return passage
    (token,) = passage.tokens
    layer = token._replace(kind="layers", layers=(int(token.text),))
    return passage._replace(tokens=(layer,), cues=(Cue("layer", layer.layers, token.start, token.end),))


def _of_layer_label(passage: Passage, passages: Sequence[Passage]) -> Passage:
    """The passage; a bare number that begins an item below a line on layers is the index of one: "- 5: 0.268"."""
    first = passage.tokens[0] if passage.tokens and not passage.cell else None
    under = any(_ON_LAYERS.search(passages[above].text) for above in passage.above)
    if (
        not under
        or first is None
        or not _LABEL.match(passage.text)
        or first.start > 4
        or not first.text.isdigit()
        or first.unit
    ):
        return passage
    layer = first._replace(kind="layers", layers=(int(first.text),))
    cues = (Cue("layer", layer.layers, layer.start, layer.end), *passage.cues)
    return passage._replace(tokens=(layer, *passage.tokens[1:]), cues=cues)


def _blank_quotes(answer: str, facts: Facts) -> str:
    """The answer without what it quotes word by word from a result, longest first."""
    text = answer
    quotes = {each.text.strip() for each in facts.quotes if each.path != "said"}
    for quote in sorted(quotes, key=len, reverse=True):
        spelt = len(quote) >= 8 and (re.search(r"[^\W\d]", quote) or re.match(r"\d{4}-\d\d-\d\d", quote))
        if spelt or re.fullmatch(r"\d+(?:\.\d+){2,}", quote):  # also a version, such as 3.11.7
            text = text.replace(quote, " " * len(quote))
    return text


def _layout(text: str) -> Iterator[tuple[int, int, tuple[int, ...], bool, int | None]]:
    """Start, end, what stands above, whether it is a cell, and its number in a list, of each sentence and each cell of a table."""
    header: list[int | None] = []
    intervals: set[int] = set()  # columns that hold those of the column before
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
            edges = [match.end() for match in re.finditer(r"\|", line)]
            row: list[int | None] = []  # the passage of each column; None where a cell is blank
            for first, last in pairwise([*edges, *([] if bare.endswith("|") else [len(line) + 1])]):
                filled = bool(line[first : last - 1].strip())
                if filled:
                    heads = [row[0] if row else None, header[len(row)] if len(row) < len(header) else None]
                    if header and len(row) in intervals:  # of what stands to the left
                        heads.append(header[len(row) - 1])
                    above = tuple(each for each in heads if each is not None)
                    yield start + first, start + last - 1, above, True, None
                row.append(count if filled else None)
                count += filled
            if not header:
                header = row
                columns = bare.strip("|").split("|")
                intervals = {i for i, each in enumerate(columns) if i and _INTERVALS.search(each)}
            continue
        header = []
        bullet = bool(_BULLET.match(line))
        if bullet:
            before = []
        elif re.search(r"[:：]\**$", bare) or bare.startswith("#"):
            lead = []
        sentences: list[int] = []
        mark = _LIST_MARK.match(line)
        at = mark.end() if mark else 0
        for match in [*_SENTENCE.finditer(line, at), None]:
            stop = match.start() if match else len(line)
            if line[at:stop].strip():
                number = int(re.sub(r"\D", "", mark[0])) if mark and not sentences else None
                yield start + at, start + stop, (*reversed(before), *reversed(lead)), False, number
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
    named = cues(_IN_KEY.sub(" ", text), methods, names)
    blank = RUN_ID.sub(lambda match: " " * len(match[0]), text)
    blank = _NAMES.sub(lambda match: " " * len(match[0]) if re.search(r"\d", match[0]) else match[0], blank)
    found = sorted(_with_labels(tokens(blank, cell), blank), key=lambda token: token.start)
    named += [Cue("layer", token.layers, token.start, token.end) for token in found if token.kind == "layers"]
    counted = bool(_ONE_LAYER.search(blank)) or any(
        _LAYER_NOUN.match(blank, token.end) for token in found if token.kind == "quantity"
    )
    found = [token for token in found if counted or not _is_elliptic(token, blank)]
    named += [_size(token, blank, named) for token in found if _counts_layers(token, blank)]
    single = (Token("quantity", match.start(), match.end(), "1") for match in _ONE_LAYER.finditer(blank))
    named += [_size(token, blank, named) for token in single]
    inside = [match.span() for match in re.finditer(r"[\[(（][^\])）]*[\])）]", blank)]
    inside += [(token.start, token.end) for token in found]
    cuts = [each for each in _CLAUSE.finditer(blank) if not any(a < each.start() < b for a, b in inside)]
    cuts = [each for each in cuts if not _ITEM.match(blank, each.end())]
    edges = [0, *(each.end() for each in cuts), len(text)]
    clauses = tuple(pairwise(edges))
    found = [token for token in found if not _idiom(token, clauses, named)]
    return Passage(blank, 0, tuple(found), tuple(sorted(named, key=lambda cue: cue.start)), clauses, (), cell)


def _with_labels(found: Iterable[Token], text: str) -> Iterator[Token]:
    """The tokens, the first of each of several pairs a layer: 5 (0.268), 0 (0.075)."""
    labels = [match.start() for match in _PAIR.finditer(text)]
    for token in found:
        if len(labels) > 1 and token.start in labels and not token.unit:
            token = token._replace(kind="layers", layers=(int(token.text),))
        yield token


def _idiom(token: Token, clauses: Iterable[tuple[int, int]], named: Iterable[Cue]) -> bool:
    """Whether "half" or "twice" stands in a clause that names nothing measured: half the battle, think twice."""
    if not token.spelt or token.unit not in ("%", "times"):
        return False
    start, end = next((a, b) for a, b in clauses if a <= token.start < b)
    return not any(cue.dimension == "name" and start <= cue.start < end for cue in named)


def _size(token: Token, text: str, named: Sequence[Cue]) -> Cue:
    """Of how many layers a model is said to be, or to be without."""
    said = [cue for cue in named if cue.dimension == "say" and cue.values[0] in ("removed", "kept")]
    before = [cue for cue in said if cue.end <= token.start and not re.search(r"\d|[;；]", text[cue.end : token.start])]
    after = [cue for cue in said if token.end <= cue.start < token.end + 24]
    near = (before[-1:] or after[:1]) and str((before[-1:] or after[:1])[0].values[0])
    less = re.match(r"[ *]*(?:layers? )?(?:less|fewer)\b", text[token.end :])
    if near == "removed" and re.search(r"\b(?:to|at)[ *]*$", text[: token.start]):  # dropping to two layers
        near = "kept"
    saids = ["removed"] if less else [near] if near else ["kept", "removed"]
    return Cue("size", tuple((each, int(token.text)) for each in saids), token.start, token.end)


def _counts_layers(token: Token, text: str) -> bool:
    if token.kind != "quantity" or token.unit or not token.text.isdigit():
        return False
    return bool(_LAYER_NOUN.match(text, token.end)) or _is_elliptic(token, text)


def _is_elliptic(token: Token, text: str) -> bool:
    noun = _LAYER_NOUN.match(text, token.end)
    alone = _ELLIPTIC.search(text[: token.start]) or _COSTS.match(text, token.end)
    return token.spelt and not token.unit and not noun and bool(alone)
