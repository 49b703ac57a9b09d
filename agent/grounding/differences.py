"""Whether the words, or the sign, beside a number make it a difference, a negative value or a number of examples."""

import re

from agent.grounding.amounts import PERCENT
from agent.grounding.numbers import Token
from agent.grounding.places import Place

_DIFFERENCE = re.compile(
    r"(?:\b(?:by|sav(?:e|es|ed|ing)(?: of)?|(?:reduction|difference|gap|gain|drop|decrease|increase) of)|减少了?|降低了?|下降了?|增加了?|提升了?|提高了?|(?<!至)少|差)[\s*]*(?:about |around |roughly |some |only |just |约|大约)?$",
    re.IGNORECASE,
)  # what follows is no value but the difference of two
_MORE = re.compile(
    r"[ *]*(?:lower|higher|less|more|fewer|smaller|larger|bigger|faster|slower|quicker|better|worse|reduction|decrease|increase|drop|improvement|saved)\b",
    re.IGNORECASE,
)


def is_more(place: Place) -> bool:
    """Whether its sign, or the words right beside it, make a number the difference of two."""
    signed = place.token.unit in PERCENT and place.token.text[0] in "+-−"
    return signed or bool(_DIFFERENCE.search(place.ahead) or _MORE.match(place.behind))


def is_negative(token: Token) -> bool:
    """Whether a measured value is written with a minus."""
    return token.text[0] in "-−" and token.kind == "quantity" and "." in token.text and not token.unit


def counts_examples(place: Place) -> bool:
    """Whether a number is one of examples, right or wrong."""
    token = place.token
    return token.text.isdigit() and not token.unit and bool({"examples", "right", "wrong"} & set(place.measures))
