"""Workflows in processes of their own: who started one may leave, and finds it again.

There is no server. A job is a row of `home/jobs/jobs.sqlite`; whoever submits one, looks at the list or ends one starts a
process that takes the next row of the queue (`tools.jobs.worker`).
"""

from tools.jobs.control import cancel, follow, listed, resume, show, submit, under_way
from tools.jobs.records import Job
from tools.jobs.store import JobStore
from tools.jobs.workflows import JobWorkflows

__all__ = ["Job", "JobStore", "JobWorkflows", "cancel", "follow", "listed", "resume", "show", "submit", "under_way"]
