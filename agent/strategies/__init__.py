"""Ways to get a tool call out of a language model, whatever it is able to.

    native   the server carries calls by its own protocol
    text     calls that the model prints, taken where they match a tool's schema
    schema   an action and its arguments that the server's grammar holds to a schema

`Calling` is the middleware that tries them in order and watches over the turn. Each way is one file.
"""

from agent.strategies.contract import Grade, Handler, Request, Strategy
from agent.strategies.native import NativeCalls
from agent.strategies.schema import SchemaChoice
from agent.strategies.text import CallsInText

__all__ = ["CallsInText", "Grade", "Handler", "NativeCalls", "Request", "SchemaChoice", "Strategy", "in_order"]


def in_order(grade: Grade | None) -> list[Strategy]:
    """The ways to try with a model of that grade, the first first; None: it was not graded yet."""
    if grade == "native":
        return [NativeCalls(), CallsInText(), SchemaChoice()]
    if grade == "text":
        return [CallsInText(), SchemaChoice()]
    if grade == "schema":
        return [SchemaChoice(), CallsInText()]
    return [NativeCalls(streams=False), CallsInText(), SchemaChoice()]
