"""The numbers of a text, in digits and in words, and its lists of layers."""

import re
from collections.abc import Iterator
from typing import NamedTuple

# In words. "first" is a claim only beside a noun that is counted, "half" only beside something measured; "one layer" and 一层
# mean any layer as often as a number of them.
_ENGLISH = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
            "eleven": 11, "twelve": 12, "sixteen": 16, "single": 1}  # fmt: skip
_CHINESE = {each: i for i, each in enumerate("一二三四五六七八九十", 1)} | {"两": 2}
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8}
_PARTS = {"third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "tenth": 10}
NAMED = {**_ENGLISH, **_CHINESE, **_ORDINALS}

_D = r"[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d+)?"
_UNIT = (
    r"%|percent(?:age)?(?: points?)?\b|points?\b|pp\b|pts?\b|个?百分点|k\b|thousand\b|M\b|million\b|G\b|billion\b|万|亿|×|x\b|times\b|-?fold\b"
    r"|倍|(?:ms|milliseconds?)\b|毫秒|(?:s|secs?|seconds?)\b|秒|(?:[MG]B|megabytes?)\b|min(?:ute)?s?\b|分钟|(?:st|nd|rd|th)\b"
)
_TO = r" ?(?P<first>%|ms|MB|×|x)?(?: ?(?:to|and|–|—|-|~|～|,|，|;|至|到) ?)"
_BETWEEN = rf"(?P<low>{_D}){_TO}(?P<high>{_D})(?: ?(?P<unit>%|percent\b|ms\b|MB\b|nats\b|M\b|×|x\b|times\b))?"
_NUMBER = re.compile(
    rf"(?<![\w.,])(?P<number>{_D})(?: ?(?P<unit>{_UNIT}))?(?: ?(?:nats²?|MB|ms)?[ *]*± ?(?P<margin>{_D}))?",
    re.IGNORECASE | re.ASCII,
)
# "[0.85, 0.91]", "(CI: 1.32 – 1.63)", "95 % CI 0.83 to 0.94"
_BRACKET = re.compile(
    # the words before it end before the sign of its lower end
    rf"(?:(?<=[\[(（])|95 ?%)(?:[^\d\])）+−-]|-(?=[a-z])){{0,24}}[\[(（]?{_BETWEEN}(?=[\])）])",
    re.IGNORECASE | re.ASCII,
)
_RANGE = re.compile(rf"(?<![\w.,-]){_BETWEEN}", re.IGNORECASE | re.ASCII)
_DASHED = re.compile(r"[\d.]+\.\d+ ?(?:%|ms|MB)?[–~～][\d.]+\.\d+ ?(?:%|ms|MB|×|x)?", re.IGNORECASE)  # 87.0–92.3 %
_RANGE_BEFORE = re.compile(
    r"(?:between|intervals?|\bCIs?\b|range[sd]?(?: from)?|区间|介于|范围)(?:[^\d.;。；]{0,60})(?<!epochs )(?<!layers )$",
    re.IGNORECASE,
)
_APART = re.compile(
    r"[;；]|,(?! *(?:(?:with|at)? ?(?:an? )?(?:95|CI\b|confidence|interval|range)))|\b(?:CIs|intervals)\b"
)  # an interval behind it is of something else
_JOIN = r"\s*\**\s*(?:,|as well as|and|or|&|、|，|和|与|及|或|,\s*and)\s*\**\s*"
_NO_UNIT = r"(?!\d|\.\d|%|,\d| ?(?:%|ms|MB|times|[xMG]\b|points|percent))"
_INTS = rf"\d{{1,3}}(?:(?:{_JOIN}|\s*>\s*)(?:layers? )?\d{{1,2}})*{_NO_UNIT}(?!\d)(?! for layer)"
_GO_OR_STAY = (  # "drop 4", but not "drop 4 layers"
    r"(?:remov|drop|prun|delet|skipp?|keep)(?:e[sd]?|s|ing|ped|ping)? (?:only |just )?(?:(?:all|everything) (?:but|except) )?"
    r"(?=\d[\d, ]*(?:and \d+)?(?:[:;.)]|$))"
)
_LAYERS = re.compile(
    rf"\b(?:(?:layers?|blocks?)[ \t]*(?:numbers?\s*|indices\s*|index\s*|#)?\**[ \t]*[\[(（]?|L(?=\d)|(?:puts?|ranks?|places?) (?=\d{{1,2}} (?:first|last|at the (?:top|bottom|end)|on top))|(?:layers?|important)(?: ones?)? (?:is|are) \**(?=\d+(?!\d|\.\d| ?(?:%|ms|MB)))|{_GO_OR_STAY})(?P<list>{_INTS})"
    r"(?P<to>\s*(?:to|through|–|-)\s*\d{1,3}(?!\d|\.\d))?",
    re.IGNORECASE,
)
_CHINESE_LAYERS = re.compile(
    rf"第\s*\**\s*(?P<list>{_INTS})(?P<to>\s*(?:–|-|至|到)\s*(?:第\s*)?\d{{1,3}})?\s*\**\s*层"
    r"(?:(?:、|和|与|及)\s*第\s*\**\s*\d{1,3}\s*\**\s*层)*|(?<!每)层 ?(?P<one>\d{1,2}(?!\d|\.\d|%| ?[万亿]))(?P<none>)"
)
_BARE_LIST = re.compile(
    rf"(?<![\w.,])(?!\d{{1,3}}(?:,\d{{3}})+(?!\d))\d{{1,3}}(?:(?:{_JOIN}|\s*>\s*)\d{{1,3}})+{_NO_UNIT}"
)
_AFTER_LIST_WORD = re.compile(
    r"(?:first|last|order|keeps?|kept|keeping|remov\w+|drop\w*|important|保留|去掉|移除|删除|重要|名次|[:：>])[^\d.;。；]{0,12}$",
    re.IGNORECASE,
)
_EPOCHS = re.compile(r"\b(?:epochs?|steps?|rounds?) $|第 ?$", re.IGNORECASE)
_SPELT = "|".join(_ENGLISH)
_COUNTED = r"layers?|blocks?|removals?|deletions?|epochs?|passes|subsets|combinations"
_WORDS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(expression, re.IGNORECASE), unit)
    for expression, unit in (
        (rf"\b(?!(?:one|single)\b(?! of))(?P<n>{_SPELT})(?=[ -](?:(?:to|or|and) (?:{_SPELT}) )?(?:(?!times|of|percent)\w+ )?(?:{_COUNTED})\b| (?:out )?of (?:the |its |all )?(?:{_SPELT}|\d+)\b)", ""),
        (rf"(?:, |\band |; )(?P<n>{_SPELT})(?= (?:costs?|gets?|has|have|gives?|reach(?:es)?|loses?|leaves?) )", ""),
        (rf"\b(?:at|with|than|to|after) (?:only |just |all )?(?P<n>{_SPELT})(?=[,:.;)]|$| \(| (?:gone|left|removed|fewer|dropped)\b)", ""),
        (r"(?<!第)(?P<n>[二两三四五六七八九十])(?=个?(?:层|轮))", ""),
        (rf"\b(?P<n>{_SPELT}|\d+)[- ](?:percentage )points?\b(?<!\d points)(?<!\d percentage points)", "points"),
        (r"[一二两三四五六七八九]个百分点", "points"),
        (rf"(?P<n>{_SPELT}) times\b", "times"),
        (r"\b(?:twice|doubl(?:e|es|ed|ing)|two-?fold)\b|(?P<n>[两三四五六七八九十])倍|翻(?:了)?(?:一)?(?:倍|番)|(?:快|提高|增加|提升|升高)了?(?:近|约|将近|大约)?一倍", "times"),
        (r"\b(?P<three>thrice|tripl(?:e|es|ed|ing)|three-?fold)\b", "times"),
        (r"(?<!and a )\bhal(?:f(?! an? )|ve|ves|ved|ving)\b|一半", "%"),
        (rf"\b(?P<n>an?|{_SPELT})[- ](?P<part>{'|'.join(_PARTS)})s?\b(?! (?:most|least|layer|epoch|place|method|time))", "%"),
        (rf"\b(?P<n>one|{_SPELT}|\d{{1,2}}) (?:(?:test |of the )?(?:texts?|reviews?|examples?|samples?) )?(?:in (?:every )?(?P<m>{_SPELT}|\d{{1,3}})|out of (?:every )?(?P<ten>ten|10|100))\b(?! ?(?:%|\w*-?layers?|blocks?|epochs?|methods|runs|ms|seconds))(?!\.\d)", "%"),
        (r"(?P<part>[三四五六七八九十])分之(?P<n>[一二两三四五六七八九])", "%"),
    )
)  # fmt: skip
_IN_QUOTES = re.compile(r"\"[^\"\n]{1,80}\"|“[^”\n]{1,80}”|「[^」\n]{1,80}」")
SPELT = re.compile(
    rf"\d|[一二两三四五六七八九十半倍]|\b(?:{_SPELT}|half|halves|twice)\b", re.IGNORECASE
)  # a number may be there
_PLACES = "|".join([*_ORDINALS, "last"])
_RANKED = re.compile(
    rf"\b(?P<from>(?:second|third|fourth|fifth|sixth)(?=[- ](?:most|least|lowest|highest|place|by\b)))"
    rf"|\b(?:rank\w*|com(?:e|es|ing)|plac\w+|puts?) (?:(?!\b(?:{_PLACES})\b)[^.;,，；\n]){{0,40}}?\b(?P<verb>{'|'.join(list(_ORDINALS)[1:])})\b"
    r"|(?P<back>倒数)第?(?P<zh>[一二三四五六七八九\d])|(?:排名?|排在|位列|位居)第?(?P<zh2>[二三四五六七八九])",
    re.IGNORECASE,
)
# "89.9 → 82.8 %", "59 vs 103 ms", "21 ms instead of 28"
_SHARED_UNIT = re.compile(
    r"\s*(?:→|->|vs\.?|versus|to|and|against|instead of|rather than)\s*\d[\d.,]*\s?(?P<unit>%|percent\b|ms\b|MB\b)"
)
_LAST_UNIT = re.compile(  # "82.3, 85.2 and 86.0 %", "17.4 of the 22.7 million"
    r"(?:\s*(?:,|、|/|,? ?\band\b| of(?: the| its)?|和)\s*\d+\.\d+)+\s?(?P<unit>%|percent\b|ms\b|MB\b|M\b|million\b)"
)
_UNIT_BEFORE = re.compile(
    r"\d ?(?P<unit>%|ms\b|MB\b|M\b)[^\d.;]{0,24}(?:→|->|vs\.?|versus|to|against|instead of|rather than|(?:down|up) from|compared (?:to|with)) (?:about |around )?$"
)
_NO_NOUN = re.compile(r"\s*(?:[,;:)]|\.(?!\d)|$)")
_OF_POINTS = re.compile(r" of (?:those|these|the|its|their) (?:[\w.]+ )?points\b", re.IGNORECASE)
_FACTOR = re.compile(r"\bfactor of (?:about |around |roughly |some |over |nearly )?\**$", re.IGNORECASE)
_REPEATED = re.compile(r"\b(?:measured|repeated|timed) $", re.IGNORECASE)
_IT = re.compile(r"\b(?:rank|put|plac|consider|rat|giv)\w* (?P<it>it)\b", re.IGNORECASE)
_HEDGES = (
    ("under", r"(?:\b(?:nearly|almost|(?:just )?under|(?:less|fewer|lower) than|below|at most|not quite|up to)|接近|将近|不到|不足|低于|近)"),
    ("over", r"(?:\b(?:(?:just |well )?over|(?:more|greater|higher|larger) than|above|at least|exceed(?:s|ing)?)|>|超过|多于|高于|至少)"),
    ("about", r"(?:\b(?:about|around|roughly|approximately|approx\.?|circa|some|close to|a(?: bit| little) (?:over|under|more than|less than))|~|≈|约|大约|大概)"),
)  # fmt: skip
_HEDGE = tuple((name, re.compile(rf"{words}[\s*]*(?:为|是|a |an )?$", re.IGNORECASE)) for name, words in _HEDGES)
_HEDGED_AFTER = re.compile(r" ?(?:左右|上下|or so\b)")
_FROM_LAST = re.compile(r"[- ](?:least|lowest|worst)", re.IGNORECASE)
_NEGATED = re.compile(r"(?:n't|\bnot|\bnever|没有|不会?|并未|并不)\s?\w{0,6} ?$", re.IGNORECASE)


class Token(NamedTuple):
    """One number, or a list of layers, as it is written."""

    kind: str  # quantity, range, layers, list
    start: int  # in the passage
    end: int
    text: str  # in digits, also where it is written in words
    unit: str = ""  # lower case; "last" for a rank from the last
    low: str | None = None
    high: str | None = None
    layers: tuple[int, ...] = ()
    body: int = 0  # where the number and its unit end, and an interval may begin
    hedge: str = ""  # about, under, over
    spelt: bool = False
    margin: str | None = None  # behind ±


def tokens(text: str, cell: bool = False) -> Iterator[Token]:
    """The numbers and lists of layers in the text of a passage.

    Args:
        text: of which all that is no claim is blank.
        cell: of a table, where two numbers are a list too.
    """
    free = text
    found: list[tuple[int, tuple[int, ...]]] = []
    for match in (*_LAYERS.finditer(text), *_CHINESE_LAYERS.finditer(text)):
        first = match.start("list") if match["list"] else match.start("one")
        layers = [int(each) for each in re.findall(r"\d+", text[first : match.end()])]
        if match["to"] if match["list"] else None:
            layers = [*layers[:-2], *range(layers[-2], layers[-1] + 1)] or layers
        found.append((match.end(), tuple(layers)))
        yield Token("layers", first, match.end(), text[first : match.end()], layers=tuple(layers))
        free = _cut(free, match.start(), match.end())
    for match in _IT.finditer(free):
        named = [layers for end, layers in found if end <= match.start()]
        if named:
            yield Token("layers", match.start("it"), match.end("it"), "it", layers=named[-1])
    for match in _BARE_LIST.finditer(free):
        layers = [int(each) for each in re.findall(r"\d+", match[0])]
        if _EPOCHS.search(free[: match.start()]):
            free = _cut(free, match.start(), match.end())
        elif len(layers) > 2 or cell or _AFTER_LIST_WORD.search(free[: match.start()]) or _alone(free, match):
            yield Token("list", match.start(), match.end(), match[0], layers=tuple(layers))
            free = _cut(free, match.start(), match.end())
    ranges: list[Token] = []
    for match in (*_BRACKET.finditer(free), *_RANGE.finditer(free)):
        bracketed = match.re is _BRACKET
        whole = cell and free.strip() == match[0].strip()  # of a column of intervals
        dashed = _DASHED.fullmatch(match[0])
        if bracketed or whole or dashed or _RANGE_BEFORE.search(free[: match.start()]):
            taken = any(each.start <= match.start("low") < each.end for each in ranges)
            if taken or match["first"] not in (None, match["unit"]) or _float(match["low"]) > _float(match["high"]):
                continue
            unit = "" if bracketed else (match["unit"] or "").lower()
            ranges.append(Token("range", match.start("low"), match.end(), match[0], unit, match["low"], match["high"]))
    for each in ranges:
        free = _cut(free, each.start, each.end)
    words = list(_words(free))
    for each in words:
        if each.unit == "%":  # nine in 10
            free = _cut(free, each.start, each.end)
    numbers = sorted([*_digits(free), *words], key=lambda token: token.start)
    if any(
        "point" in each.unit or each.unit in ("pp", "个百分点", "百分点") for each in numbers
    ):  # "3.5 points (88.0 → 84.5)"
        numbers = [each._replace(unit="%") if _is_percentage(each) else each for each in _points(numbers)]
    yield from _with_intervals(numbers, ranges, text)


def _alone(text: str, match: re.Match[str]) -> bool:
    """Whether a list is all that stands in a bracket: (1 and 4)."""
    return text[match.start() - 1 : match.start()] in ("(", "（", "[") and text[match.end() : match.end() + 1] in (
        ")",
        "）",
        "]",
    )


def _points(numbers: list[Token]) -> Iterator[Token]:
    """Also those that have lost the word: "7.0 points, of which 5.3 came back"."""
    told = False
    for token in numbers:
        bare = not token.unit and re.fullmatch(r"[12]?\d\.\d", token.text) and _float(token.text) >= 1
        yield token._replace(unit="points") if told and bare else token
        told = told or token.unit in ("points", "percentage points", "个百分点")


def _is_percentage(token: Token) -> bool:
    return token.kind == "quantity" and not token.unit and "." in token.text and 10 < _float(token.text) <= 100


def _float(number: str) -> float:
    return float(number.replace(",", "").replace("−", "-"))


def _digits(text: str) -> Iterator[Token]:
    for match in _NUMBER.finditer(text):
        unit = (match["unit"] or "").lower()
        shared = _SHARED_UNIT.match(text, match.end()) if not unit and "," not in match["number"] else None
        if not unit and not shared and "." in match["number"]:
            shared = _LAST_UNIT.match(text, match.end())
        if not unit and not shared and _NO_NOUN.match(text, match.end()):
            shared = _UNIT_BEFORE.search(text[max(0, match.start() - 60) : match.start()])
        unit = shared["unit"].lower() if shared else unit
        if unit == "times" and _REPEATED.search(text[: match.start()]):
            unit = ""
        if not unit and _FACTOR.search(text[: match.start()]):
            unit = "times"
        unit = "points" if not unit and _OF_POINTS.match(text, match.end()) else unit
        end = match.end("unit") if match["unit"] else match.end("number")
        hedge = _hedge(text, match.start(), end)
        yield Token(
            "quantity", match.start(), match.end(), match["number"], unit, body=end, hedge=hedge, margin=match["margin"]
        )


def _words(text: str) -> Iterator[Token]:
    taken = [match.span() for match in _IN_QUOTES.finditer(text)]  # an example of what to say, or what was said
    for expression, unit in _WORDS:
        for match in expression.finditer(text):
            if any(a < match.end() and match.start() < b for a, b in taken):
                continue
            taken.append(match.span())
            start = match.start("n") if match.groupdict().get("n") and unit == "" else match.start()
            if unit in ("times", "%") and _NEGATED.search(text[:start]):
                continue
            hedge = _hedge(text, start, match.end())
            yield Token(
                "quantity", start, match.end(), _value(match, unit), unit, body=match.end(), hedge=hedge, spelt=True
            )
    for match in _RANKED.finditer(text):
        name = next(name for name in ("from", "verb", "zh", "zh2") if match[name])
        last = match["back"] or (name == "from" and _FROM_LAST.match(text, match.end()))
        number = match[name] if match[name].isdigit() else str(NAMED[match[name].lower()])
        start, end = match.span(name)
        yield Token("quantity", start, end, number, "last" if last else "th", body=end, spelt=True)


def _value(match: re.Match[str], unit: str) -> str:
    named = {name: (text or "").lower() for name, text in match.groupdict().items()}
    number = NAMED.get(named.get("n", ""), 1)
    if many := named.get("m") or named.get("ten"):
        first, whole = (int(each) if each.isdigit() else NAMED[each] for each in (named["n"], many))
        return f"{100 * first / max(whole, 1):.4g}"
    if "three" in named:
        return "3"
    if part := named.get("part"):
        return f"{100 * number / (_PARTS.get(part) or NAMED[part]):.4g}"
    if unit == "%":
        return "50"
    if unit == "times":
        return str(NAMED.get(named.get("n", ""), 2))
    if unit == "points" and not named.get("n"):
        return str(_CHINESE[match[0][0]])
    return named["n"] if named["n"].isdigit() else str(number)


def _hedge(text: str, start: int, end: int) -> str:
    ahead = text[max(0, start - 24) : start]
    if found := next((name for name, expression in _HEDGE if expression.search(ahead)), ""):
        return found
    return "about" if _HEDGED_AFTER.match(text, end) else ""


def _with_intervals(numbers: list[Token], ranges: list[Token], text: str) -> Iterator[Token]:
    """The numbers, those that an interval follows in the same sentence together with it."""
    owners: dict[Token, Token] = {}
    for interval in ranges:
        before = [token for token in numbers if token.end <= interval.start and not token.spelt]
        near = [token for token in before if _may_own(token, interval, text)]
        within = [
            token for token in near if _float(interval.low or "0") <= _float(token.text) <= _float(interval.high or "0")
        ]
        count = near and near[-1].text.isdigit() and not near[-1].unit  # "89.9 % on the 454 texts (87.0 to 92.3 %)"
        owner = within[-1:] if count else near[-1:] if near and near[-1] is before[-1] else []
        owners |= {token: interval for token in owner if token not in owners}
    for token in numbers:
        if own := owners.get(token):
            end = own.end + (text[own.end : own.end + 1] in tuple("])）"))  # to be shown with its bracket
            beside = not any(token.end <= each.start < own.start for each in numbers)
            token = token._replace(low=own.low, high=own.high, end=end if beside else token.end)
        yield token
    yield from (each for each in ranges if each not in owners.values())


def _may_own(token: Token, interval: Token, text: str) -> bool:
    """Whether nothing between keeps the interval from the number."""
    same = interval.unit in ("", token.unit)
    return same and (_one_bracket(token, interval, text) or not _APART.search(text[token.end : interval.start]))


def _one_bracket(token: Token, interval: Token, text: str) -> bool:
    """Of "(0.729, 0.640 to 0.822)"."""
    alone = text[token.start - 1 : token.start] in tuple("[(（") and text[interval.end : interval.end + 1] in tuple(
        "])）"
    )
    return alone and not re.sub(r"[ ,，%]|ms|nats", "", text[token.end : interval.start])


def _cut(text: str, start: int, end: int) -> str:
    return text[:start] + " " * (end - start) + text[end:]
