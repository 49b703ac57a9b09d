"""The middleware between a conversation and its language model: calls that arrive, and turns that end."""

from collections.abc import Callable, Sequence
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelResponse
from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage, trim_messages
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.tools import BaseTool

from agent.planner.answers import render
from agent.planner.memory import last_of_user
from agent.planner.retell import retell
from agent.strategies import in_order
from agent.strategies.arguments import problem_of
from agent.strategies.contract import Grade, Handler, Request, tokens_of
from agent.strategies.guard import Guard
from agent.strategies.said import Said, question_for
from agent.strategies.shown import needed_first, shown
from agent.strategies.transcript import cut
from analyzers.errors import LanguageModelError
from analyzers.records import Run

MODEL_CALLS = 25  # a turn; the longest chain needs six
TOOL_CALLS = 20
TOKENS = 60_000  # a turn, read and written
ANSWER_TOKENS = 1024  # kept free of the context for the answer
LONGEST_MESSAGE = 8000  # characters of a user's message that a model is given
# Of an export, what small models fill in unasked, and what a user speaks of who wants it.
_UNASKED = {"precision": ("precision", "quantize"), "remove": ("layers",)}


class Calling(AgentMiddleware):
    """Shows few tools, gets a call by the first way that works, and ends a turn that goes in circles.

    Args:
        grade: of the model, from `layerwise doctor`; None: it was not graded.
        tools: names of all tools.
        runs: the newest runs of the home.
        context: tokens that the model reads at once; None: not known.
        explain: turns an error of a provider into one of ours; None for other errors.
        say: tells the user something beside the answer.
    """

    def __init__(
        self,
        grade: Grade | None,
        tools: Sequence[str],
        runs: Callable[[], Sequence[Run]],
        context: int | None,
        explain: Callable[[Exception], LanguageModelError | None],
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__()
        self._strategies = in_order(grade)
        self._names = list(tools)
        self._runs = runs
        self._context = context
        self._explain = explain
        self._say = say
        self.tools = []

    def wrap_model_call(self, request: Request, handler: Callable[[Request], ModelResponse[Any]]) -> AIMessage:
        messages = request.messages
        turn = messages[last_of_user(messages) + 1 :]
        said = Said.of(messages, self._runs())
        if why := _over(turn):
            return AIMessage(_ended(why, turn, said))
        request = request.override(
            tools=shown(request.tools, said),
            messages=self._fitting(request, said),
            state={**request.state, "said": said},  # type: ignore[typeddict-unknown-key]
            model=request.model.model_copy(update={"callbacks": [*_handlers(request.model), Guard()]}),
        )
        try:
            message = self._next_step(request, handler)
        except Exception as problem:
            known = self._explain(problem)
            if known is None:
                raise
            if not retell(turn, said.language):
                # LangGraph keeps what is raised here in the history: not the provider's words, which may hold a key
                raise known from None
            return AIMessage(_ended("lost", turn, said, reason=str(known)))
        self._notice_cut(message)
        for call in message.tool_calls:
            for name, spoken in _UNASKED.items():
                if call["name"] == "export_model" and not any(map(said.wants, spoken)):
                    call["args"].pop(name, None)
        for call in message.tool_calls[:1]:
            if question := question_for(call["name"], call["args"], said):
                return AIMessage(
                    question, usage_metadata=message.usage_metadata, response_metadata=message.response_metadata
                )
        return message

    def wrap_tool_call(self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Any]) -> Any:
        """Send back what is wrong with a call before anything runs."""
        call = request.tool_call
        problem = None
        if request.tool is None:
            said = Said.of(request.state["messages"], self._runs())
            names = [tool for tool in self._names if needed_first(tool, said) == tool]
            problem = f"there is no tool {call['name']!r}; there are: {', '.join(names)}"
        else:
            problem = problem_of(request.tool, call["args"])
        if problem:
            return ToolMessage(problem, tool_call_id=call["id"], name=call["name"], status="error")
        return handler(request)

    def _next_step(self, request: Request, handler: Handler) -> AIMessage:
        refused: Exception | None = None
        for strategy in self._strategies:
            try:
                message = strategy.next_step(request, handler)
            except (ValueError, AssertionError) as problem:  # a library that could not read what the server sent
                if self._explain(problem):
                    raise
                refused = problem
                continue
            if message is not None:
                return message
        raise LanguageModelError(
            f"the language model gave no answer that can be used{f' ({type(refused).__name__})' if refused else ''}; "
            "ask in other words, look at it with: layerwise doctor, or choose another: --llm offline"
        )

    def _fitting(self, request: Request, said: Said) -> list[Any]:
        """The messages, the longest cut and the oldest left out where they are more than the model reads."""
        messages = [_short(message) for message in request.messages]
        if messages != request.messages and len(said.text) > LONGEST_MESSAGE:
            self._say(
                f"your message has {len(said.text):,} characters; the model is given the first {LONGEST_MESSAGE:,}: "
                "put long texts into a file and name it as data, e.g. csv:PATH"
            )
        if self._context is None:
            return messages
        room = self._context - ANSWER_TOKENS - _fixed(request)
        kept = trim_messages(
            messages,
            max_tokens=max(room, 512),
            token_counter=count_tokens_approximately,
            strategy="last",
            start_on="human",
        )
        if not kept:  # the turn alone is too long: its newest messages, each cut
            kept = [_short(message, 2000) for message in messages[last_of_user(messages) :]]
        if len(kept) < len(messages):
            self._say(
                f"the conversation is longer than the {self._context:,} tokens that the model reads; the oldest "
                f"{len(messages) - len(kept)} messages were left out: begin a new session, or raise LAYERWISE_NUM_CTX"
            )
        return kept

    def _notice_cut(self, message: AIMessage) -> None:
        used = tokens_of(message, "input_tokens")
        if self._context and len(message.tool_calls) == 0 and used >= self._context - 1:
            self._say(
                f"the prompt filled all {self._context:,} tokens of the model's context, so its beginning was probably "
                "cut: begin a new session, or raise LAYERWISE_NUM_CTX"
            )


def _over(turn: Sequence[Any]) -> str | None:
    """Why the turn has to end now; None: it goes on."""
    asked = [message for message in turn if isinstance(message, AIMessage)]
    calls = {call["id"]: (call["name"], str(call["args"])) for message in asked for call in message.tool_calls}
    seen: set[tuple[Any, str]] = set()
    for message in turn:
        if isinstance(message, ToolMessage):
            same = (calls.get(message.tool_call_id), message.text)
            if same in seen:
                return "repeated"
            seen.add(same)
    tokens = sum(tokens_of(message) for message in asked)
    return "limit" if len(asked) >= MODEL_CALLS or len(calls) >= TOOL_CALLS or tokens >= TOKENS else None


def _ended(why: str, turn: Sequence[Any], said: Said, reason: str = "") -> str:
    told = retell(turn, said.language)
    failed = [message.text for message in turn if isinstance(message, ToolMessage) and message.status == "error"]
    return render(said.language, "ended", why=why, reason=reason, told=told, failed=failed[-1:])


def _short(message: Any, longest: int = LONGEST_MESSAGE) -> Any:
    if isinstance(message, HumanMessage | ToolMessage) and len(message.text) > longest:
        return message.model_copy(update={"content": cut(message.text, longest)})
    return message


def _fixed(request: Request) -> int:
    """Tokens of what every prompt holds: the rules and the tools."""
    described = sum(len(tool.description) + len(str(tool.args)) for tool in request.tools if isinstance(tool, BaseTool))
    return (len(request.system_prompt or "") + 2500 + described) // 4


def _handlers(model: Any) -> list[Any]:
    given = model.callbacks
    return list(given) if isinstance(given, list) else []
