"""All conversations of a home: named, listed, searched, exported, deleted.

LangGraph's checkpoints are the truth about a conversation as a model reads it; they are serialized, and old turns in them are
summarised. What was said stands beside them in tables of our own, message by message, so that it can be searched and
is still there after a summary. The tables are behind after a kill, or missing in an old home, and are filled up from the
checkpoints whenever they are read.
"""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import TypeAdapter

from agent.events import Backed
from analyzers.errors import StorageError, UsageError
from analyzers.records import Record, now
from knowledge.files import write_whole
from tools.wording import cut
from tools.workspace import Workspace

SUMMARY = "summarization"  # the source that LangChain notes in a message that stands for older ones
_TITLE = 80  # characters
_AROUND = 40  # characters before and after what a search found
_TABLES = """
CREATE TABLE IF NOT EXISTS said (
    session TEXT NOT NULL, message TEXT NOT NULL, position INTEGER NOT NULL,
    who TEXT NOT NULL, text TEXT NOT NULL, time TEXT NOT NULL, PRIMARY KEY (session, message)
);
CREATE TABLE IF NOT EXISTS sessions (session TEXT PRIMARY KEY, name TEXT, checkpoint_id TEXT NOT NULL, updated TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS owners (session TEXT PRIMARY KEY, owner TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS begun (
    session TEXT NOT NULL, call TEXT NOT NULL, name TEXT NOT NULL, arguments TEXT NOT NULL, time TEXT NOT NULL,
    PRIMARY KEY (session, call)
);
CREATE TABLE IF NOT EXISTS backed (session TEXT NOT NULL, text TEXT NOT NULL, facts TEXT NOT NULL, PRIMARY KEY (session, text));
"""
_OWNED = "(? IS NULL OR (SELECT owner FROM owners WHERE owners.session = sessions.session) = ?)"
_FACTS = TypeAdapter(tuple[Backed, ...])


class Line(Record):
    """One thing that was said, or a step that was taken."""

    who: Literal["user", "assistant", "step"]
    text: str
    time: datetime
    facts: tuple[Backed, ...] = ()  # behind the numbers of an answer


class Session(Record):
    id: str
    title: str  # the name that it was given, else how it began
    created: datetime
    updated: datetime
    messages: int  # of the user and the assistant


class Begun(NamedTuple):
    """A step that began."""

    call: str  # its id
    name: str
    arguments: dict[str, Any]  # as they were approved
    time: datetime


class Transcript(Session):
    lines: tuple[Line, ...]


class Found(Record):
    """A session that a search found, and the place."""

    session: Session
    excerpt: str


def connect(workspace: Workspace) -> sqlite3.Connection:
    """Open the file of all conversations, which is made where it is missing.

    Raises:
        StorageError: it cannot be opened, or is something else.
    """
    path = workspace.sessions / "sessions.sqlite"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # one connection is used by the reader's thread and the agent's; whoever uses it has a lock
        connection = sqlite3.connect(path, check_same_thread=False, timeout=30)
        connection.execute("SELECT count(*) FROM sqlite_master")
    except (OSError, sqlite3.Error) as problem:
        raise StorageError(
            f"cannot open {path}: {problem}; move it away, or name a --home that may be written to"
        ) from problem
    return connection


class Sessions:
    """The conversations of a home. Several threads and processes may use it.

    Raises:
        StorageError: the file cannot be read or written; also from each method.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._file = workspace.sessions / "sessions.sqlite"
        self._connection = connect(workspace)
        self._connection.create_function(
            "holds", 2, lambda text, word: word in str(text).casefold(), deterministic=True
        )
        self._lock = threading.Lock()
        with self._writing() as database:
            database.executescript(_TABLES)

    def close(self) -> None:
        self._connection.close()

    def all(self, limit: int | None = None, owner: str | None = None) -> list[Session]:
        """The newest first; of one owner, or of all."""
        self.catch_up()
        with self._writing() as database:
            rows = database.execute(
                f"SELECT session FROM sessions WHERE {_OWNED} ORDER BY updated DESC, rowid DESC LIMIT ?",
                (owner, owner, -1 if limit is None else limit),
            ).fetchall()
            return [self._session(database, session) for (session,) in rows]

    def get(self, session: str) -> Transcript:
        """One conversation with all that was said.

        Raises:
            UsageError: there is none of that id.
        """
        self.catch_up()
        with self._writing() as database:
            about = self._session(database, self._known(database, session))
            return Transcript(**about.model_dump(), lines=tuple(_lines(database, session)))

    def lines(self, session: str) -> list[Line]:
        """What was said in a conversation so far; nothing where there is none of that id."""
        self.catch_up(session)
        with self._writing() as database:
            return list(_lines(database, session))

    def has(self, session: str, owner: str | None = None) -> bool:
        """Whether there is a conversation of that id; of one owner, or at all."""
        self.catch_up(session)
        with self._writing() as database:
            asked = f"SELECT 1 FROM sessions WHERE session = ? AND {_OWNED}"
            return database.execute(asked, (session, owner, owner)).fetchone() is not None

    def unsettled(self, session: str) -> bool:
        """Whether a step of it may wait for approval, or was under way when its process ended; False: none does."""
        with self._writing() as database:
            if database.execute("SELECT 1 FROM begun WHERE session = ?", (session,)).fetchone():
                return True
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'writes'").fetchone():
                return False
            asked = (
                "SELECT 1 FROM writes WHERE thread_id = ? AND channel = '__interrupt__'"  # as LangGraph keeps questions
            )
            return database.execute(asked, (session,)).fetchone() is not None

    def claim(self, session: str, owner: str) -> None:
        """Note whose conversation it is, before anything is said in it; who has one keeps it."""
        with self._writing() as database:
            database.execute("INSERT OR IGNORE INTO owners VALUES (?, ?)", (session, owner))

    def owner(self, session: str) -> str | None:
        """Whose conversation it is; None: of nobody in particular, as those of a terminal are."""
        with self._writing() as database:
            found = database.execute("SELECT owner FROM owners WHERE session = ?", (session,)).fetchone()
            return str(found[0]) if found else None

    def forget(self, session: str, messages: Iterable[str]) -> None:
        """Take back messages of a conversation, by their ids, and the steps that were under way."""
        self.end_steps(session)
        with self._writing() as database:
            ids = [(session, message) for message in messages]
            database.executemany("DELETE FROM said WHERE session = ? AND message = ?", ids)

    def begin_step(self, session: str, call: str, name: str, arguments: Mapping[str, Any]) -> None:
        """Note a step before it runs: what is still noted when its process has gone was interrupted."""
        row = (session, call, name, json.dumps(arguments), now().isoformat())
        with self._writing() as database:
            database.execute("INSERT OR REPLACE INTO begun VALUES (?, ?, ?, ?, ?)", row)

    def end_steps(self, session: str) -> None:
        """No step of the conversation is under way any more."""
        with self._writing() as database:
            database.execute("DELETE FROM begun WHERE session = ?", (session,))

    def begun(self, session: str) -> list[Begun]:
        """The steps that are under way, or were when their process ended; the oldest first."""
        with self._writing() as database:
            rows = database.execute(
                "SELECT call, name, arguments, time FROM begun WHERE session = ? ORDER BY rowid", (session,)
            ).fetchall()
        return [
            Begun(call, name, json.loads(arguments), datetime.fromisoformat(time))
            for call, name, arguments, time in rows
        ]

    def back(self, session: str, text: str, facts: tuple[Backed, ...]) -> None:
        """Keep the facts behind the numbers of an answer: its line has them from now on."""
        if facts:
            with self._writing() as database:
                told = _FACTS.dump_json(facts).decode()
                database.execute("INSERT OR REPLACE INTO backed VALUES (?, ?, ?)", (session, text, told))

    def search(self, text: str, limit: int = 10, owner: str | None = None) -> list[Found]:
        """The conversations that hold each of the words somewhere, the newest first; case does not matter.

        Args:
            text: the words.
            limit: of the conversations.
            owner: only those that are theirs; None: all.

        Raises:
            UsageError: no word.
        """
        words = text.casefold().split()
        if not words:
            raise UsageError("nothing to search for; to see all conversations: layerwise sessions list")
        self.catch_up()
        once = """EXISTS (SELECT 1 FROM said WHERE said.session = sessions.session AND holds(text, ?))
                  OR holds(coalesce(name, ''), ?)"""
        where = " AND ".join([f"({once})"] * len(words))
        with self._writing() as database:
            rows = database.execute(
                f"SELECT session FROM sessions WHERE {where} AND {_OWNED} ORDER BY updated DESC LIMIT ?",
                [*(word for word in words for _ in range(2)), owner, owner, limit],
            ).fetchall()
            return [
                Found(session=self._session(database, session), excerpt=_excerpt(database, session, words))
                for (session,) in rows
            ]

    def rename(self, session: str, name: str) -> None:
        """Give a conversation a name, which is then its title.

        Raises:
            UsageError: there is none of that id, or the name is empty.
        """
        name = " ".join(name.split())[:_TITLE]
        if not name:
            raise UsageError("the name is empty; give one, e.g. layerwise sessions rename ID 'half of minilm'")
        self.catch_up()
        with self._writing() as database:
            database.execute("UPDATE sessions SET name = ? WHERE session = ?", (name, self._known(database, session)))

    def delete(self, session: str) -> None:
        """Remove a conversation. The runs that it made stay.

        Raises:
            UsageError: there is none of that id.
        """
        from langgraph.checkpoint.sqlite import SqliteSaver

        self.catch_up()
        with self._writing() as database:
            self._known(database, session)
            SqliteSaver(database).delete_thread(session)
            for table in ("said", "sessions", "owners", "begun", "backed"):
                database.execute(f"DELETE FROM {table} WHERE session = ?", (session,))

    def export(self, session: str, file: Path) -> Path:
        """Write a conversation as Markdown or JSON, by the ending of the file.

        Raises:
            UsageError: there is none of that id, the file exists, or its ending is another.
        """
        transcript = self.get(session)
        if file.suffix not in (".md", ".json"):
            raise UsageError(f"{file} is neither FILE.md nor FILE.json; give one of them")
        if file.exists():
            raise UsageError(f"{file} exists; choose another name, or remove it first")
        text = transcript.model_dump_json(indent=1) if file.suffix == ".json" else _markdown(transcript)
        write_whole(file, f"{text}\n".encode())
        return file

    def catch_up(self, session: str | None = None) -> None:
        """Take in what the checkpoints hold and the tables do not; of all conversations, or of one."""
        with self._writing() as database:
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'checkpoints'").fetchone():
                return
            behind = database.execute(
                """SELECT thread_id, max(checkpoints.checkpoint_id) AS newest FROM checkpoints
                   LEFT JOIN sessions ON session = thread_id WHERE checkpoint_ns = '' AND thread_id = coalesce(?, thread_id)
                   GROUP BY thread_id HAVING newest IS NOT max(sessions.checkpoint_id)""",
                (session,),
            ).fetchall()
            for thread, newest in behind:
                self._take_in(database, thread, newest)

    def _take_in(self, database: sqlite3.Connection, session: str, newest: str) -> None:
        from langgraph.checkpoint.sqlite import SqliteSaver

        found = SqliteSaver(database).get_tuple(
            {"configurable": {"thread_id": session, "checkpoint_ns": "", "checkpoint_id": newest}}
        )
        if found is None:
            return  # deleted meanwhile
        time = found.checkpoint["ts"]
        (position,) = database.execute("SELECT count(*) FROM said WHERE session = ?", (session,)).fetchone()
        for message, who, text in _said(found.checkpoint["channel_values"].get("messages", [])):
            database.execute(
                """INSERT INTO said VALUES (?, ?, ?, ?, ?, ?)
                   ON CONFLICT DO UPDATE SET text = excluded.text WHERE text IS NOT excluded.text""",
                (session, message, position, who, text, time),
            )
            position += 1
        database.execute(
            """INSERT INTO sessions VALUES (?, NULL, ?, ?)
               ON CONFLICT DO UPDATE SET checkpoint_id = excluded.checkpoint_id, updated = excluded.updated""",
            (session, newest, time),
        )

    def _known(self, database: sqlite3.Connection, session: str) -> str:
        if database.execute("SELECT 1 FROM sessions WHERE session = ?", (session,)).fetchone():
            return session
        newest = database.execute("SELECT session FROM sessions ORDER BY updated DESC LIMIT 3").fetchall()
        there = f"the newest are {', '.join(each for (each,) in newest)}" if newest else "there are none yet"
        raise UsageError(f"no session {session!r}; {there}: list them with: layerwise sessions list")

    def _session(self, database: sqlite3.Connection, session: str) -> Session:
        # The list of sessions is looked at every few seconds: what was said is counted, and not read.
        spoken = "FROM said WHERE said.session = sessions.session AND who <> 'step'"
        name, updated, created, messages, first = database.execute(
            f"""SELECT name, updated, (SELECT time {spoken} ORDER BY position, rowid LIMIT 1), (SELECT count(*) {spoken}),
            (SELECT text {spoken} AND who = 'user' ORDER BY position, rowid LIMIT 1) FROM sessions WHERE session = ?""",
            (session,),
        ).fetchone()
        title = name or cut(" ".join((first or "").split()), _TITLE)
        return Session(id=session, title=title, created=created or updated, updated=updated, messages=messages)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        with self._lock:
            try:
                with self._connection:
                    yield self._connection
            except sqlite3.Error as problem:
                raise StorageError(
                    f"cannot use {self._file}: {problem}; free some space, or choose another --home"
                ) from problem


def _said(messages: Iterable[Any]) -> Iterator[tuple[str, str, str]]:
    """Id, who, text of the messages that a reader wants to see."""
    calls: dict[str, dict[str, Any]] = {}
    for message in messages:
        match message.type:
            case "human" if message.additional_kwargs.get("lc_source") != SUMMARY:
                yield message.id, "user", message.text
            case "ai":
                calls |= {call["id"]: call["args"] for call in message.tool_calls}
                if message.text:
                    yield message.id, "assistant", message.text
            case "tool":
                given = ", ".join(f"{name}={value}" for name, value in calls.get(message.tool_call_id, {}).items())
                runs = message.artifact if isinstance(message.artifact, list) else []
                came = message.text if message.status == "error" else ", ".join(runs) or "done"
                yield message.id, "step", f"{message.name}({given}): {came}"


def _lines(database: sqlite3.Connection, session: str) -> Iterator[Line]:
    rows = database.execute(
        """SELECT who, said.text, time, CASE who WHEN 'assistant' THEN facts END FROM said
           LEFT JOIN backed ON backed.session = said.session AND backed.text = said.text
           WHERE said.session = ? ORDER BY position, said.rowid""",
        (session,),
    )
    for who, text, time, facts in rows:
        known = _FACTS.validate_json(facts) if facts else ()
        yield Line(who=who, text=text, time=datetime.fromisoformat(time).astimezone(UTC), facts=known)


def _excerpt(database: sqlite3.Connection, session: str, words: list[str]) -> str:
    for line in _lines(database, session):
        place = line.text.casefold().find(words[0])
        if place >= 0:
            start, end = max(0, place - _AROUND), place + len(words[0]) + _AROUND
            inner = " ".join(line.text[start:end].split())
            return f"{'…' if start else ''}{inner}{'…' if end < len(line.text) else ''}"
    return ""


def _markdown(transcript: Transcript) -> str:
    parts = [f"# {transcript.title}", f"Session {transcript.id}, {transcript.created:%Y-%m-%d %H:%M} UTC"]
    for line in transcript.lines:
        parts.append(f"`{line.text}`" if line.who == "step" else f"**{line.who}:** {line.text}")
    return "\n\n".join(parts)
