"""`layerwise batch` and `layerwise reproduce`: scripts without a conversation, and a run made again."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.cli_options import common
from agent.cli_outcome import Session, show, show_json
from analyzers.errors import StorageError

if TYPE_CHECKING:
    from agent.batch.outcomes import Summary
    from tools.reproducing import Number, Reproduction


@click.command()
@click.argument("script", metavar="SCRIPT.yaml|recipe:NAME", required=False)
@click.option(
    "--set", "pairs", metavar="NAME=VALUE", multiple=True, help="A variable or a list of the matrix; repeat it."
)
@click.option(
    "--dry-run", is_flag=True, help="Check everything and tell time, memory and disk of each step; start nothing."
)
@click.option("--list", "listing", is_flag=True, help="List the scripts that ship.")
@click.option("--fresh", is_flag=True, help="Take no step from history.")
@click.option(
    "--approve",
    type=click.Choice(["all", "none"]),
    default="none",
    show_default=True,
    help="Steps of the agent that take long or delete: approve all of them, or none.",
)
@click.option(
    "--processes", is_flag=True, help="Each workflow in a process of its own, which its time limit ends at once."
)
@click.option(
    "--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write the outcome as JUnit XML, for CI."
)
@click.option("--webhook", metavar="URL", help="Post the summary as JSON when all is done.")
@common
def batch(
    session: Session,
    script: str | None,
    pairs: tuple[str, ...],
    dry_run: bool,
    listing: bool,
    fresh: bool,
    approve: Any,
    processes: bool,
    junit: Path | None,
    webhook: str | None,
) -> None:
    """Do the steps of a script: see docs/batch.md."""
    if listing or script is None:
        if not listing:
            raise click.UsageError("name a script, or list those that ship: layerwise batch --list")
        return _recipes(session)
    with session.working():
        from agent.batch.doing import Doing, Options
        from agent.batch.expansion import expand
        from agent.batch.junit import check_path
        from agent.batch.recipes import script_path
        from agent.batch.script import read_script, settings_of
        from agent.batch.webhook import check_address

        if junit:
            check_path(junit)
        if webhook:
            check_address(webhook)
        session.settle()
        read = read_script(script_path(script), settings_of(pairs))
        tasks = expand(read, session.workspace)
        options = Options(fresh=fresh, approve=approve, processes=processes and not dry_run)
        progress = type(session.progress)  # one a step: a progress that was cancelled stays so
        doing = Doing(session.workspace, session.settings, options, progress, session.progress.say)
        if dry_run:
            from agent.batch import forecasting, showing

            expected = forecasting.dry_run(read.script.name, tasks, doing, session.workspace)
            text = expected.model_dump_json(indent=1) if session.as_json else showing.expected(expected)
        else:
            from agent.batch.kept import kept
            from agent.batch.running import run_batch

            with kept(tasks, session.workspace.home, fresh) as state:
                told = _hushed(session, read.script.secrets, session.progress.say)
                summary = run_batch(read.script, tasks, doing, state, session.workspace.runs, told)
    if dry_run:
        return show(text)
    return _end(session, summary, read.script.secrets, junit, webhook)


def _hushed(session: Session, secrets: tuple[str, ...], say: Any) -> Any:
    from agent.batch.masking import masked

    known = _secrets(session, secrets)
    return lambda text: say(masked(text, known))


def _secrets(session: Session, secrets: tuple[str, ...]) -> tuple[str, ...]:
    key = session.settings.openai_api_key
    return (*secrets, *([key.get_secret_value()] if key else []))


def _end(
    session: Session, summary: "Summary", secrets: tuple[str, ...], junit: Path | None, webhook: str | None
) -> None:
    """Tell how the batch ended, everywhere it was asked for; the exit code."""
    from agent.batch.junit import write_junit
    from agent.batch.masking import masked
    from agent.batch.outcomes import EXIT
    from agent.batch.outcomes import Summary as Told
    from agent.batch.showing import shown
    from agent.batch.webhook import send

    document = masked(summary.model_dump(mode="json"), _secrets(session, secrets))
    code = EXIT[summary.status]
    if junit:
        try:
            write_junit(junit, Told.model_validate(document))
        except StorageError as full:  # whoever asked for the file counts on it
            document["notes"] = [*document["notes"], str(full)]
            code = code or 1
    if webhook and (problem := send(webhook, document)):
        document["notes"] = [*document["notes"], problem]
    safe = Told.model_validate(document)
    show(safe.model_dump_json(indent=1)) if session.as_json else show(shown(safe))
    click.get_current_context().exit(code)


def _recipes(session: Session) -> None:
    from agent.batch.recipes import PREFIX, recipes

    found = recipes()
    if session.as_json:
        return show_json([each.model_dump(mode="json") for each in found])
    lines = []
    for each in found:
        lines.append(f"{PREFIX}{each.name}: {each.about}")
        settings = {**each.variables, **each.matrix}
        lines.append("    " + ", ".join(f"{key}={'(give one)' if value is None else value}" for key, value in settings.items()))  # fmt: skip
    return show("\n".join(lines))


@click.command()
@click.argument("run_id", metavar="RUN")
@common
def reproduce(session: Session, run_id: str) -> None:
    """Make RUN again by its recorded command, and say which of its numbers came out the same."""
    with session.working():
        from tools.reproducing import reproduce as reproduced

        found = reproduced(run_id, session.workspace, session.progress)
    show(found.model_dump_json(indent=1) if session.as_json else _told(found))
    if not found.reproduced:
        click.get_current_context().exit(1)


def _told(found: "Reproduction") -> str:
    lines = [f"{found.run} made again as {found.again}: {found.command}"]
    lines += [f"note: {each}" for each in found.cautions]
    for verdict in ("different", "within its interval", "not compared"):
        those = [each for each in found.numbers if each.verdict == verdict]
        lines += [f"{verdict}: {_number(each)}" for each in those]
    counts = ", ".join(f"{count} {verdict}" for verdict, count in found.counts.items())
    end = "reproduced" if found.reproduced else "NOT reproduced"
    only = "; only what a machine takes differs: it was busier, or is another" if found.only_timings else ""
    return "\n".join([*lines, f"{end}: {counts}{only}"])


def _number(each: "Number") -> str:
    between = f" ({each.low} to {each.high})" if each.low is not None else ""
    return f"{each.name}: {each.before}{between}, now {each.after}"
