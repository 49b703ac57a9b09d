"""The conversations of the page: who may see which, and what goes on in each that is open."""

import threading
from contextlib import ExitStack, closing
from functools import cached_property
from typing import TYPE_CHECKING

from agent.sessions import Begun, Session, Sessions
from agent.settings import Settings
from agent.ui.conversation import Conversation
from agent.ui.preferences import Preferences
from agent.ui.reach import allowed
from agent.ui.transcript import Transcript
from analyzers.errors import UsageError
from analyzers.run_ids import new_id
from tools.jobs import Job, JobWorkflows, under_way
from tools.workspace import Workspace

if TYPE_CHECKING:  # the libraries of a conversation load longer than the page may take
    from agent.chat import ChatSession
    from agent.llm import LanguageModel

KEPT = 64  # conversations that are held in memory; others are read again


class Conversations:
    """All conversations of a home, for the visitors of one server.

    Args:
        settings: of the server.
        workspace: the home.
        users: who may sign in; with none, whoever reaches the page is the owner of the home and sees all.
        preferences: what each visitor chose.
    """

    def __init__(
        self, settings: Settings, workspace: Workspace, users: tuple[str, ...], preferences: Preferences
    ) -> None:
        self._settings = settings
        self.workspace = workspace
        self.users = users
        self._preferences = preferences
        self._open: dict[str, Conversation] = {}
        self._lock = threading.Lock()

    @cached_property
    def _sessions(self) -> Sessions:
        return Sessions(self.workspace)

    def close(self) -> None:
        """Let go of the file of the sessions."""
        if "_sessions" in self.__dict__:
            self._sessions.close()

    def new(self, visitor: str) -> Conversation:
        """A conversation in which nothing was said yet; it is kept with its first message."""
        return self._opened(new_id("chat"), visitor)

    def open(self, session: str, visitor: str) -> Conversation:
        """A conversation of the visitor; a step of it whose job still runs is taken up.

        Raises:
            UsageError: there is none of that id, or it is somebody else's.
            StorageError: the conversations cannot be read.
        """
        with self._lock:
            found = self._open.get(session)
        if found and self._owner(session) in (None, visitor):
            return found
        if not self._sessions.has(session, self._whose(visitor)):
            raise UsageError(f"there is no session {session!r} of yours; choose one of the list, or begin a new one")
        return self._opened(session, visitor)

    def newest(self, visitor: str) -> Conversation:
        """The conversation that the visitor was in last, or a new one."""
        found = self.listed(visitor, limit=1)
        return self._opened(found[0].id, visitor) if found else self.new(visitor)

    def listed(self, visitor: str, words: str = "", limit: int | None = None) -> list[Session]:
        """The sessions of a visitor that hold the words, the newest first."""
        owner = self._whose(visitor)
        if words.strip():
            return [found.session for found in self._sessions.search(words, limit or 50, owner)]
        return self._sessions.all(limit, owner)

    def rename(self, session: str, name: str, visitor: str) -> None:
        """Raises:
        UsageError: the name is empty, or the session is not the visitor's.
        """
        self.open(session, visitor)
        self._sessions.rename(session, name)

    def delete(self, session: str, visitor: str) -> None:
        """Raises:
        UsageError: a message of it is being answered, or the session is not the visitor's.
        """
        if self.open(session, visitor).busy:
            raise UsageError("a message of this session is still being answered; stop it first")
        self._sessions.delete(session)
        with self._lock:
            self._open.pop(session, None)

    def job(self, session: str, visitor: str) -> Job | None:
        """The job of the step that is under way in a conversation of the visitor.

        Raises:
            UsageError: there is no such conversation, or it is somebody else's.
        """
        self.open(session, visitor)
        return next((job for step in self._sessions.begun(session) if (job := self._job(step))), None)

    def working(self, visitor: str) -> list[str]:
        """The ids of the visitor's sessions in which something goes on or waits."""
        with self._lock:
            busy = [each for each in self._open.values() if each.busy or each.transcript.question()]
        return [each.session for each in busy if not self.users or self._owner(each.session) == visitor]

    def _whose(self, visitor: str) -> str | None:
        """None: the owner of the home sees all."""
        return visitor if self.users else None

    def _owner(self, session: str) -> str | None:
        return self._sessions.owner(session) if self.users else None

    def _opened(self, session: str, visitor: str) -> Conversation:
        with ExitStack() as held:
            with self._lock:
                if found := self._open.get(session):
                    return found
                found = Conversation(
                    session, lambda: self._talk(session, visitor), Transcript(self._sessions.lines(session))
                )
                self._forget()
                self._open[session] = found
                unsettled = self._sessions.unsettled(session)
                if unsettled:
                    held.enter_context(found.held())
            if unsettled:  # others may open theirs meanwhile: it loads the libraries of a conversation
                self._take_up(found)
            return found

    def _forget(self) -> None:
        quiet = [each for each in self._open.values() if not each.busy]
        for each in quiet[: max(0, len(self._open) - KEPT + 1)]:
            del self._open[each.session]

    def _talk(self, session: str, visitor: str) -> "ChatSession":
        from agent.chat import ChatSession

        self._sessions.claim(session, visitor)
        limited = (lambda request: allowed(request, self)) if self.users else None
        workflows = JobWorkflows(self.workspace, limited)
        talk = ChatSession(self._llm(visitor), self.workspace, session, workflows, ask_above=self._settings.ask_above)
        step = talk.interrupted()
        if step and (job := self._job(step)):
            workflows.take_up(job.id)
        return talk

    def _llm(self, visitor: str) -> "LanguageModel":
        from agent.llm import choose

        return choose(self._preferences.llm(visitor) or self._settings.llm, self._settings)

    def _take_up(self, conversation: Conversation) -> None:
        """Let what was under way when the last server ended be seen again: a question, a job, or that a step was lost."""
        from agent.chat import ChatSession
        from agent.llm import choose

        planner = choose("offline", self._settings)  # it only looks
        with closing(ChatSession(planner, self.workspace, conversation.session)) as talk:
            asked, step = talk.pending(), talk.interrupted()
            if step and (self._job(step) or self._finished(step)):
                conversation.go_on()
            elif asked:
                conversation.transcript.ask(asked)
            elif step:
                conversation.transcript.notice("interrupted", step.name)

    def _finished(self, step: Begun) -> bool:
        from tools.catalog import finished_since

        return finished_since(step.name, step.arguments, step.time.replace(microsecond=0), self.workspace) is not None

    def _job(self, step: Begun) -> Job | None:
        """The job of a step whose process has gone, as long as it is not over."""
        from tools.catalog import request_of

        request = request_of(step.name, step.arguments)
        return under_way(request, step.time, self.workspace) if request else None
