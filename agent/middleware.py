"""What stands between a language model and its tools in every conversation."""

from collections.abc import Callable, Sequence
from typing import Any

from langchain.agents.middleware import (
    ModelCallLimitMiddleware,
    ModelRetryMiddleware,
    ToolCallLimitMiddleware,
    ToolErrorMiddleware,
)

from agent.llm import LanguageModel, passes
from agent.strategies.calling import MODEL_CALLS, TOOL_CALLS, Calling
from agent.summarizing import Summarizing
from agent.turns import readable
from analyzers.errors import LanguageModelError
from analyzers.records import Run


def middleware(
    llm: LanguageModel,
    tools: Sequence[str],
    known: Callable[[], list[Run]],
    explain: Callable[[Exception], LanguageModelError | None],
    note: Callable[[str], None],
) -> list[Any]:
    """Limits for all; for a language model also what makes its calls arrive and its context last.

    Args:
        llm: that answers.
        tools: names of all that there are.
        known: the runs that it is told of.
        explain: an error of the model's server, in words.
        note: told what a person should know.
    """
    limits: list[Any] = [
        ModelCallLimitMiddleware(run_limit=MODEL_CALLS + 1),  # one more for the end of a turn that went too far
        ToolCallLimitMiddleware(run_limit=TOOL_CALLS),
        ToolErrorMiddleware(readable),
    ]
    if llm.name == "offline":  # the planner makes exact calls by itself, and reads all that there is
        return limits
    retry = ModelRetryMiddleware(
        max_retries=llm.retries, retry_on=passes, on_failure="error", initial_delay=llm.patience
    )
    calling = Calling(llm.grade, list(tools), known, llm.context, explain, note)
    return [*limits, Summarizing(llm.model, llm.context, explain), calling, retry]
