"""Are the arguments of a call what its tool accepts? What is wrong is said with what is allowed."""

from collections.abc import Sequence
from typing import Any

from langchain_core.tools import BaseTool
from pydantic import BaseModel, ValidationError


def tool_named(name: str, tools: Sequence[Any]) -> BaseTool | None:
    return next((tool for tool in tools if isinstance(tool, BaseTool) and tool.name == name), None)


def problem_of(tool: BaseTool, arguments: dict[str, Any]) -> str | None:
    """What a model has to change in its call, in one line; None for arguments that the tool accepts."""
    schema = tool.args_schema
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return None
    known = list(schema.model_fields)
    strange = [name for name in arguments if name not in known]
    if strange:
        return f"{tool.name} has no argument {', '.join(map(repr, strange))}; there are: {', '.join(known) or 'none'}"
    try:
        schema.model_validate(arguments)
    except ValidationError as problem:
        return "; ".join(dict.fromkeys(_sentence(tool, error) for error in problem.errors()))
    return None


def properties(tool: BaseTool) -> dict[str, Any]:
    """The JSON schema of the arguments: name -> schema."""
    return dict(json_schema(tool)["properties"])


def json_schema(tool: BaseTool) -> dict[str, Any]:
    """The JSON schema of the arguments; its `properties` and `required` are always there."""
    return {"type": "object", "properties": {}, "required": [], **tool.tool_call_schema.model_json_schema()}  # type: ignore[union-attr]


def _sentence(tool: BaseTool, error: Any) -> str:
    name = str(error["loc"][0]) if error["loc"] else ""
    about = properties(tool).get(name, {})
    allowed = f"; it is {about['description']}" if about.get("description") else ""
    if values := about.get("enum"):
        allowed = f"; allowed are: {', '.join(map(str, values))}"
    if error["type"] == "missing":
        return f"{tool.name} needs {name}{allowed}"
    given = f"{name}={error['input']!r}" if name else str(error["input"])
    return f"{tool.name}: {given:.200}: {error['msg'].removeprefix('Value error, ')}{allowed}"
