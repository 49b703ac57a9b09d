"""The numbers of a picture as a table, for those who do not see it and for those who want to read them."""

from typing import NamedTuple

from tools.wording import title


class Values(NamedTuple):
    """Every number that a picture draws, as people read it."""

    header: list[str]
    rows: list[list[str]]


def with_unit(name: str, unit: str) -> str:
    """A heading: the name of a quantity and its unit, where it has one."""
    return f"{title(name)} ({unit})" if unit else title(name)
