"""The jobs of a home as all visitors see them: looked at once in a while, however many look."""

import threading
import time

from tools.jobs import Job, JobStore, listed
from tools.workspace import Workspace

EVERY = 1.0  # seconds between two looks
SHOWN = 30


class Watch:
    """One look at the list of jobs serves everybody who asks within `EVERY` seconds."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._turn = threading.Lock()
        self._looked = 0.0
        self._jobs: list[Job] = []

    def jobs(self, *, now: bool = False) -> list[Job]:
        """The newest jobs.

        Args:
            now: look again, since something was changed.

        Raises:
            StorageError: the list cannot be read.
        """
        with self._turn:
            if now or not self._looked or time.monotonic() - self._looked > EVERY:
                self._jobs = listed(self._workspace, SHOWN)
                self._looked = time.monotonic()
            return self._jobs

    def job(self, job_id: str) -> Job:
        """One job, also one that is older than those of the list.

        Raises:
            UnknownJob: there is none of that id.
            StorageError: the list cannot be read.
        """
        for job in self.jobs():
            if job.id == job_id:
                return job
        return JobStore(self._workspace.home).get(job_id)
