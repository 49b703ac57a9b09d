"""Old turns as one message, before they are more than the language model reads.

LangChain's SummarizationMiddleware says when and which; the words are the model's. The ids of the runs, the models and the data
that were named are put behind them by us, since small models lose them: a follow-up finds its runs again, and what it says
of them is checked against their records as ever. A number of a summary is no fact of any turn.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage
from langchain_core.messages.utils import get_buffer_string

from agent.planner.slots import extract
from agent.sessions import SUMMARY
from agent.strategies.transcript import as_text, cut
from analyzers.errors import LanguageModelError
from analyzers.run_ids import RUN_ID
from prompts import load

UNKNOWN_CONTEXT = (
    32_000  # tokens, where no server tells: enough for a long conversation, and cheap enough to send again
)
ANSWER_TOKENS = 1024  # kept free for the answer, as in `agent.strategies.calling`
LONGEST = 300  # characters of a result that the summary is made from
OF_THE_USER = 120  # characters of a message, where no model can summarise


def tokens_about(messages: Iterable[Any]) -> int:
    """Tokens of the messages: four Latin characters each, one of any other script, as tokenizers have it."""
    messages = list(messages)
    text = "".join(f"{message.text}{getattr(message, 'tool_calls', '') or ''}" for message in messages)
    latin = sum(character.isascii() for character in text)
    return latin // 4 + len(text) - latin + 4 * len(messages)


class Summarizing(SummarizationMiddleware[Any, Any]):
    """Summarises at the start of a turn, when half of what the model reads at once is filled with messages.

    Args:
        model: the language model of the conversation.
        context: tokens that it reads at once; None: not known.
        explain: turns an error of a provider into one of ours; None for other errors.
    """

    def __init__(
        self,
        model: BaseChatModel,
        context: int | None,
        explain: Callable[[Exception], LanguageModelError | None],
    ) -> None:
        room = max(512, ((context or UNKNOWN_CONTEXT) - ANSWER_TOKENS) // 2)
        super().__init__(
            model,
            trigger=("tokens", room),
            keep=("tokens", room // 3),
            token_counter=tokens_about,
            trim_tokens_to_summarize=None,  # nothing is left out before the run ids are read
            summarizer=lambda messages: summary(messages, model, room, explain),
        )

    def before_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        # within a turn `Calling` cuts what does not fit: the message that is being answered has to stay as it is
        if not isinstance(state["messages"][-1], HumanMessage):
            return None
        return super().before_model(state, runtime)


def summary(
    messages: Sequence[AnyMessage],
    model: BaseChatModel,
    room: int,
    explain: Callable[[Exception], LanguageModelError | None],
) -> str:
    """What stands for the messages from now on. A model that fails costs the words, not the names.

    Args:
        messages: the oldest of the conversation.
        model: writes the summary.
        room: tokens that it may be given.
        explain: as above.
    """
    told = get_buffer_string(as_text(messages, LONGEST), human_prefix="User", ai_prefix="Layerwise")
    prompt = load("summary.md").format(messages=cut(told, 3 * room))
    try:
        words = model.invoke([HumanMessage(prompt)], config={"tags": ["nostream"]}).text.strip()
    except Exception as problem:
        if explain(problem) is None:
            raise
        words = ""
    if not words:
        said = [message.text for message in messages if isinstance(message, HumanMessage)]
        words = "The user said: " + "; ".join(cut(text, OF_THE_USER) for text in said)
    return "\n".join([words, *_names(messages)])


def _names(messages: Sequence[BaseMessage]) -> list[str]:
    """Runs, models and data of the messages, each once, the last named last."""
    runs: list[str] = []
    models: list[str] = []
    data: list[str] = []
    for message in messages:
        # tools list runs that nobody asked for: of their results only the run that was made or shown counts
        artifact = getattr(message, "artifact", None)
        found = artifact if isinstance(artifact, list) else RUN_ID.findall(message.text) if _is_talk(message) else []
        runs = _after(runs, found if len(found) <= 3 or _is_talk(message) else [])
        if isinstance(message, HumanMessage):
            slots, _ = extract(message.text[:2000])
            models, data = _after(models, slots.models), _after(data, slots.data)
    lines = (("Runs so far", runs), ("Models named", models), ("Data named", data))
    return [f"{what}: {', '.join(names)}" for what, names in lines if names]


def _is_talk(message: BaseMessage) -> bool:
    return isinstance(message, HumanMessage | AIMessage)


def _after(known: list[str], new: Sequence[str]) -> list[str]:
    return [*(each for each in known if each not in new), *dict.fromkeys(new)]


def is_summary(message: BaseMessage) -> bool:
    return message.additional_kwargs.get("lc_source") == SUMMARY
