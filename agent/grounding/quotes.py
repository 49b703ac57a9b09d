"""Numbers that stand in a text of the results: they are backed among the words around them there."""

import re
from collections.abc import Sequence

from agent.grounding.facts import Quote
from agent.grounding.numbers import Token
from agent.grounding.reading import Passage
from agent.grounding.words import pattern


def quoted(token: Token, passage: Passage, quotes: Sequence[Quote]) -> Quote | None:
    """A text of the results that has the number among the same words: a note, a caution, what the user said."""
    sentence = _words(passage.text)
    if token.spelt:
        written = re.escape(passage.text[token.start : token.end])
    else:  # of a list of layers, which may begin with the words before it, the first
        written = re.escape(re.sub(r"^[^\d±+−-]+", "", token.text.strip()).split(" ")[0].rstrip(","))
    for quote in quotes:
        if quote.path == "said" and not pattern("asked").search(passage.text):
            continue
        for match in re.finditer(rf"(?<![\w.,-]){written}(?![\w]|[.,]\d)", quote.text, re.ASCII):
            around = quote.text[max(0, match.start() - 60) : match.end() + 60]
            common = sentence & _words(around)
            if quote.path == "said" or len(common) >= (3 if re.search("[\u4e00-\u9fff]", passage.text) else 2):
                return quote
    return None


def _words(text: str) -> set[str]:
    """Its words; of Chinese the pairs of characters."""
    latin = {each.lower() for each in re.findall(r"[a-zA-Z]{4,}", text)}
    chinese = {text[i : i + 2] for i in range(len(text) - 1) if re.fullmatch("[\u4e00-\u9fff]{2}", text[i : i + 2])}
    return (latin | chinese) - {"layer", "layers", "model", "with", "that", "this", "from", "have"}
