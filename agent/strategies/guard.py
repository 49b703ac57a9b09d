"""Ends an answer that does not end by itself, wherever it comes from."""

from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from analyzers.errors import LanguageModelError

LONGEST = 40_000  # characters; far above the limit of tokens that the server was given, which some ignore
PIECES = 12_000  # tokens, empty ones too


class Guard(BaseCallbackHandler):
    """Counts what streams in, and raises where it is too much.

    Raises:
        LanguageModelError: in the thread that reads the answer.
    """

    raise_error = True  # LangChain would log it otherwise

    def __init__(self) -> None:
        self._read = 0
        self._pieces = 0

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002
        self._read += len(str(token))
        self._pieces += 1
        if self._read > LONGEST or self._pieces > PIECES:
            raise LanguageModelError(
                "the language model does not come to an end and was stopped; ask something shorter, try another model, "
                "or choose: --llm offline"
            )
