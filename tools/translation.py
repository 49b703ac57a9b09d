"""Texts that are made of parts, in another language: by the list `prompts/texts.LANGUAGE.yaml`.

The English text is the key, as in gettext, so that whatever makes a text needs nothing for it: what the list does not know stays
as it is.
"""

import re
from collections.abc import Callable
from functools import cache, lru_cache

import yaml

from prompts import load

_INTERVAL = re.compile(r"(?<=\d) to (?=[-\d])")
_NAMES = re.compile(r"(?<!%)\{\w+\}")  # the more text there is between them, the sooner a pattern is tried
_GAP = re.compile(r"\\\{(\w+)\\\}")


@cache
def words(language: str) -> Callable[[str], str]:
    """What puts a text into a language: `en` leaves it, others have a list.

    Raises:
        OSError: there is no list of that language.
    """
    if language == "en":
        return str
    found = yaml.safe_load(load(f"texts.{language}.yaml"))
    texts: dict[str, str] = found["texts"]
    patterns = [
        (re.compile(_GAP.sub(r"(?P<\1>.+?)", re.escape(key)), re.DOTALL), text)
        for key, text in sorted(found["patterns"].items(), key=lambda each: -len(_NAMES.sub("", each[0])))
    ]

    @lru_cache(maxsize=4096)
    def say(given: str) -> str:
        bare = given.strip()
        if bare in texts:
            return given.replace(bare, texts[bare])
        lower = bare[:1].lower() + bare[1:]  # a name at the beginning of a title
        if lower in texts:
            return given.replace(bare, texts[lower])
        for pattern, text in patterns:
            if match := pattern.fullmatch(given):
                return text.format(**{name: say(part) for name, part in match.groupdict().items()})
        return _INTERVAL.sub(found["to"], given)

    return say
