"""`layerwise jobs`: workflows in processes of their own."""

from typing import TYPE_CHECKING, Any

import click

from agent.cli_options import common
from agent.cli_outcome import Session, show, show_json

if TYPE_CHECKING:
    from analyzers.records import Request
    from tools.jobs import Job

EXIT = {"done": 0, "cancelled": 3}  # every other end is a failure


@click.group()
def jobs() -> None:
    """Workflows in processes of their own (--job): list, show, follow, cancel, resume."""


def start(session: Session, wanted: "Request", resume: bool = False) -> None:
    """Submit a job and say its name."""
    from tools.jobs import submit

    job = submit(wanted, session.workspace, resume=resume)
    _told(session, job, f"{job.id}\nnext    layerwise jobs follow {job.id}")


@jobs.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, the newest first.")
@common
def list_jobs(session: Session, limit: int) -> None:
    """List the newest jobs."""
    from tools.jobs import listed

    found = listed(session.workspace, limit)
    if session.as_json:
        return show_json([job.model_dump(mode="json") for job in found])
    from agent.summaries import table
    from tools.wording import took

    header = ["id", "status", "when (UTC)", "took", "how far", "command"]
    rows = [
        [
            job.id,
            job.status,
            f"{job.created:%Y-%m-%d %H:%M}",
            took(job.seconds),
            _far(job),
            job.command.removeprefix("layerwise "),
        ]
        for job in found
    ]
    return show(
        table(header, rows) if rows else "no jobs; start one with --job: layerwise train demo:minilm demo:amazon --job"
    )


@jobs.command("show")
@click.argument("job_id", metavar="ID")
@common
def show_job(session: Session, job_id: str) -> None:
    """Show one job."""
    from tools.jobs import show as shown

    job = shown(job_id, session.workspace)
    _told(session, job, _summary(job))


@jobs.command()
@click.argument("job_id", metavar="ID")
@common
def follow(session: Session, job_id: str) -> None:
    """Show the progress of a job until it ends, and take its exit code. Ctrl-C leaves it running."""
    from tools.jobs import follow as followed

    try:
        job = followed(job_id, session.workspace, session.progress)
    except KeyboardInterrupt:
        click.echo(f"note: {job_id} goes on; to end it: layerwise jobs cancel {job_id}", err=True)
        raise
    _told(session, job, _summary(job))
    click.get_current_context().exit(EXIT.get(job.status, 1))


@jobs.command()
@click.argument("job_id", metavar="ID")
@common
def cancel(session: Session, job_id: str) -> None:
    """End a job and all that it started; what was finished is kept."""
    from tools.jobs import cancel as cancelled

    job = cancelled(job_id, session.workspace)
    _told(session, job, _summary(job))


@jobs.command()
@click.argument("job_id", metavar="ID")
@common
def resume(session: Session, job_id: str) -> None:
    """Put a job that was stopped, failed or died into the queue again; it goes on where it was."""
    from tools.jobs import resume as resumed

    job = resumed(job_id, session.workspace)
    _told(session, job, f"{job.id}\nnext    layerwise jobs follow {job.id}")


def _told(session: Session, job: "Job", text: str) -> None:
    show(job.model_dump_json(indent=1)) if session.as_json else show(text)


def _summary(job: "Job") -> str:
    from tools.wording import took

    lines = [f"{job.id}  {job.status}{f' in {took(job.seconds)}' if job.started else ''}  {job.command}"]
    if job.error:
        lines.append(f"error   {job.error}")
    elif job.messages:
        lines.append(f"says    {job.messages[-1]}")
    if not job.over and job.progress:
        lines.append(f"step    {_far(job)}")
    if job.peak_memory_mb:
        lines.append(f"memory  {job.peak_memory_mb:,.0f} MB at most")
    lines.append(f"log     {job.log}")
    if job.run:
        lines.append(f"run     layerwise runs show {job.run}")
    if job.status in ("queued", "running"):
        lines.append(f"next    layerwise jobs follow {job.id}")
    elif job.status != "done":
        lines.append(f"next    layerwise jobs resume {job.id}")
    return "\n".join(lines)


def _far(job: "Job") -> str:
    from tools.wording import duration

    if job.over or job.progress is None:
        return ""
    step: Any = job.progress
    left = f", about {duration(step.seconds_left)} left" if step.seconds_left is not None else ""
    return f"{step.step}: {step.done} of {step.total}{left}"
