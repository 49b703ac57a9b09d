"""A conversation that goes on whoever looks: the page may be closed, opened twice, or show another one meanwhile."""

import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal

from agent.events import Event
from agent.ui.transcript import Question, Said, Transcript
from analyzers.errors import LayerwiseError, UsageError
from tools.failures import unexpected

if TYPE_CHECKING:
    from agent.chat import ChatSession

LONGEST = 20_000  # characters of a message
Turn = Callable[["ChatSession"], Iterator[Event]]


class Conversation:
    """One conversation. All methods return at once; what becomes of them is in `transcript`, and `version` tells that it is new.

    Args:
        session: its id.
        begin: opens the session; it is called for each turn, in the thread of the turn, and may raise a LayerwiseError.
        transcript: what was said so far.
    """

    def __init__(self, session: str, begin: "Callable[[], ChatSession]", transcript: Transcript) -> None:
        self.session = session
        self.transcript = transcript
        self.version = 0
        self.stopping = False
        self._begin = begin
        self._lock = threading.RLock()
        self._waiting: deque[Said] = deque()
        self._talk: ChatSession | None = None
        self._thread: threading.Thread | None = None
        self._question: Question | None = None  # that the turn under way answers

    @property
    def busy(self) -> bool:
        return self._thread is not None

    def held(self) -> AbstractContextManager[Any]:
        """While it is held, whatever else is asked of it waits; it can be looked at."""
        return self._lock

    def send(self, text: str) -> None:
        """Say something; while a turn is being answered, it waits for its end.

        Raises:
            UsageError: the text is empty or too long; nothing was said.
        """
        _check(text)
        with self._lock:
            if self.busy:
                self._waiting.append(self.transcript.say(text, waiting=True))
            else:
                question = self.transcript.question()
                self.transcript.say(text, answer=question is not None)
                self._start(lambda talk: talk.stream(text), question)
            self.version += 1

    def again(self, item: str, text: str) -> None:
        """Answer a message again, or another in its place: what followed it is taken back, and nothing finished is done twice.

        Raises:
            UsageError: it is not there any more, something is being answered, or the text is empty or too long.
        """
        _check(text)
        with self._lock:
            if self.busy:
                raise UsageError("the last message is still being answered; stop it, or wait for its end")
            said = next((each for each in self.transcript.items if each.id == item), None)
            if not isinstance(said, Said) or said.state != "sent":
                raise UsageError("this message is not there any more; say it anew")
            later = sum(isinstance(each, Said) and each.text == said.text for each in self.transcript.cut(said)[1:])
            self.transcript.say(text)
            self._start(lambda talk: talk.again(text, said.text, later))
            self.version += 1

    def decide(
        self,
        decision: Literal["approve", "change", "refuse"],
        arguments: Mapping[str, Any] | None = None,
        rest: bool = False,
    ) -> None:
        """Answer the question that waits.

        Raises:
            UsageError: nothing waits; somebody may have answered in another window.
        """
        with self._lock:
            question = self.transcript.question()
            if self.busy or question is None:
                raise UsageError("no step waits for an answer any more")
            changes = dict(arguments or {})
            self.transcript.decide("approve_all" if rest else decision, changes.items())
            self._start(lambda talk: talk.decide(decision, changes, rest=rest), question)
            self.version += 1

    def go_on(self) -> None:
        """Take up the step that was under way when the server ended."""
        with self._lock:
            if not self.busy:
                self._start(lambda talk: talk.go_on())
                self.version += 1

    def stop(self) -> None:
        """End the turn, and the job of its step. Messages that wait are not sent."""
        with self._lock:
            for said in self._waiting:
                self.transcript.keep(said)
            self._waiting.clear()
            self.stopping = self.busy
            if self._talk:
                self._talk.cancel()
            self.version += 1

    def drop(self, item: str) -> None:
        """Take back a message that waits or was not sent; nothing where there is none of that id."""
        with self._lock:
            said = next((each for each in self.transcript.items if each.id == item), None)
            if not isinstance(said, Said) or said.state == "sent":
                return
            self._waiting = deque(each for each in self._waiting if each.id != item)
            self.transcript.remove(said)
            self.version += 1

    def _start(self, turn: Turn, question: Question | None = None) -> None:
        self._question = question
        self._thread = threading.Thread(target=self._work, args=(turn,), name=f"page {self.session}", daemon=True)
        self._thread.start()

    def _work(self, turn: Turn | None) -> None:
        while turn:
            try:
                self._answer(turn)
            except LayerwiseError as problem:
                self._failed(str(problem))
            except BaseException as problem:  # noqa: BLE001 (whatever it is, the page must say so and stay usable)
                traceback.print_exception(problem, file=sys.stderr)
                self._failed(unexpected(problem))
            with self._lock:
                turn = self._next()
                if turn is None:
                    self._thread = None
                self.version += 1

    def _answer(self, turn: Turn) -> None:
        talk = self._begin()
        try:
            with self._lock:
                self._talk = talk
            if self.stopping:
                talk.cancel()
            for event in turn(talk):
                with self._lock:
                    self.transcript.take(event)
                    self._question = None  # it was answered
                    self.version += 1
        finally:
            with self._lock:
                self._talk, self.stopping = None, False
            talk.close()

    def _next(self) -> Turn | None:
        """A message that waits; none while a question does: it would be taken for a refusal."""
        if not self._waiting or self.transcript.question():
            return None
        said = self._waiting.popleft()
        self.transcript.sent(said)
        return lambda talk: talk.stream(said.text)

    def _failed(self, text: str) -> None:
        with self._lock:
            self.transcript.notice("failed", text)
            if self._question:  # still waits: the answer to it did not arrive
                self.transcript.ask(self._question.asked)
            self._question = None
            self.version += 1


def _check(text: str) -> None:
    if not text.strip():
        raise UsageError("the message is empty; say what you want to know")
    if len(text) > LONGEST:
        raise UsageError(
            f"the message has {len(text):,} characters; at most {LONGEST:,} are read: put the rest into a file and name it"
        )
