"""Imported by the process that others are forked from."""

from tests.tools import killable

killable.warm()
