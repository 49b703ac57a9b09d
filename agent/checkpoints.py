"""LangGraph's checkpoints of the conversations of a home: kept small, and asked for what a killed process had finished."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from langchain_core.messages import ToolMessage

from agent.sessions import connect
from tools.catalog import finished_since
from tools.workspace import Workspace

LOST = "stopped before it ended; nothing of it is in this conversation: start it again if it is still wanted"


class Checkpoints:
    """The file of the checkpoints, and what is done with it beside LangGraph.

    Raises:
        StorageError: the file cannot be opened.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.connection = connect(workspace)

    def close(self) -> None:
        self.connection.close()

    def forget_older(self, session: str) -> None:
        """Keep only the newest checkpoint of a conversation: each holds the whole history, and ten turns would fill ten times it."""
        newest = "(SELECT max(checkpoint_id) FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = '')"
        with self.connection as database:
            for table in ("checkpoints", "writes"):
                database.execute(
                    f"DELETE FROM {table} WHERE thread_id = ? AND checkpoint_ns = '' AND checkpoint_id < {newest}",
                    (session, session),
                )

    def result_of(self, call: Mapping[str, Any], state: Any) -> ToolMessage:
        """What stands for the result of a call that the conversation has none of.

        The workflow may have ended and saved its run, and only the conversation did not hear of it: what is done is not done
        twice. (Results of other calls of the same message lie beside the checkpoint, and LangGraph reads them with it.)

        Args:
            call: of the last message of the model.
            state: a snapshot of LangGraph.
        """
        since = datetime.fromisoformat(state.created_at).replace(microsecond=0)  # as runs note their beginning
        found = finished_since(call["name"], call["args"], since, self._workspace)
        if found:
            content, runs = found
            return ToolMessage(content, artifact=runs, tool_call_id=str(call["id"]), name=call["name"])
        return ToolMessage(LOST, tool_call_id=str(call["id"]), name=call["name"], status="error")
