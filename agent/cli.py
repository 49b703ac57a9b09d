"""The command line. Each verb turns its words into a request record, calls a workflow and shows the run.

Heavy libraries are imported by what a verb calls, never here: `layerwise --help` answers at once.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from agent import cli_jobs
from agent.cli_batch import batch, reproduce
from agent.cli_options import common, options_of, request
from agent.cli_outcome import Cli, Session, show, show_json
from agent.cli_runs import runs
from agent.cli_sessions import sessions
from analyzers.errors import UsageError
from analyzers.records import (
    AnalyzeRequest,
    CompressRequest,
    EvaluateRequest,
    PlanRequest,
    Request,
    Run,
    TrainRequest,
)
from analyzers.references import with_columns
from analyzers.requests import ExportRequest
from tools import known


@click.group(cls=Cli, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="layerwise")
def main() -> None:
    """Find out which layers of a transformer you can remove, prove it, and keep the smaller model.

    \b
    layerwise train demo:minilm demo:amazon     fine-tune a model on real reviews
    layerwise analyze RUN demo:amazon           score its layers in six ways
    layerwise plan RUN --ratio 2                measure which half can go
    layerwise compress RUN                      remove it, verify, heal
    layerwise report RUN --out report.html      one page with everything
    """


def _workflow(session: Session, name: str, wanted: Request, **extra: Any) -> None:
    """Run a workflow and show its run, or start a job that does."""
    if session.as_job:
        return cli_jobs.start(session, wanted, **extra)
    with session.working():
        from tools import workflows

        run: Run = getattr(workflows, name)(wanted, session.workspace, session.progress, **extra)
    if session.as_json:
        click.echo(run.model_dump_json(indent=1))
    else:
        from agent.summaries import summary

        click.echo(summary(run))
    if run.status != "done":
        click.get_current_context().exit(3 if run.status == "cancelled" else 1)
    return None


def _columns(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--label", metavar="COLUMN", help="Column of the labels, where it is not found by itself.")(
        command
    )
    return click.option("--text", metavar="COLUMN", help="Column of the texts, where it is not found by itself.")(
        command
    )


@main.command()
@options_of(TrainRequest)
@_columns
@click.option("--resume", is_flag=True, help="Take up the same training where it was stopped.")
@common
def train(session: Session, resume: bool, text: str | None, label: str | None, data: str, **fields: Any) -> None:
    """Fine-tune MODEL on DATA; the best checkpoint is kept."""
    wanted = request(TrainRequest, data=with_columns(data, text, label), **fields)
    _workflow(session, "train", wanted, resume=resume)


@main.command()
@options_of(AnalyzeRequest)
@_columns
@common
def analyze(session: Session, text: str | None, label: str | None, data: str, **fields: Any) -> None:
    """Score the layers of MODEL on DATA by importance methods, and measure which method to believe."""
    _workflow(session, "analyze", request(AnalyzeRequest, data=with_columns(data, text, label), **fields))


@main.command()
@options_of(PlanRequest, metavar={"analysis": "ANALYSIS_RUN"})
@common
def plan(session: Session, **fields: Any) -> None:
    """Choose the layers to remove, by measuring sets of them. Give one target: --ratio, --keep or a --max."""
    _workflow(session, "plan", request(PlanRequest, **fields))


@main.command()
@options_of(CompressRequest, metavar={"plan": "PLAN_RUN"})
@click.option("--resume", is_flag=True, help="Take up the same healing where it was stopped.")
@common
def compress(session: Session, resume: bool, **fields: Any) -> None:
    """Remove the layers of a plan for good, save the smaller model, verify it and heal it."""
    _workflow(session, "compress", request(CompressRequest, **fields), resume=resume)


@main.command()
@options_of(EvaluateRequest)
@_columns
@common
def evaluate(session: Session, text: str | None, label: str | None, data: str, **fields: Any) -> None:
    """Measure quality and speed of MODEL on DATA."""
    _workflow(session, "evaluate", request(EvaluateRequest, data=with_columns(data, text, label), **fields))


@main.command()
@options_of(ExportRequest, metavar={"model": "RUN|FOLDER|gguf:PATH"})
@common
def export(session: Session, **fields: Any) -> None:
    """Write a model, or what a PLAN leaves of it, in a format of other programs, and prove it by opening it there."""
    _workflow(session, "export", request(ExportRequest, **fields))


main.add_command(cli_jobs.jobs)
main.add_command(runs)
main.add_command(batch)
main.add_command(reproduce)


@main.command()
@click.argument("run_ids", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="FILE.html, FILE.md (pictures beside it), FILE.json or FILE.pdf.",
)
@click.option("--compare", is_flag=True, help="Put the runs side by side, without what they came from.")
@click.option(
    "--language", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Of headings and narrative."
)
@click.option(
    "--llm", metavar="NAME", help="Who writes the narrative: ollama:MODEL or openai:MODEL; else the templates."
)
@common
def report(
    session: Session, run_ids: tuple[str, ...], out: Path, compare: bool, language: Any, llm: str | None
) -> None:
    """Write one file about runs and all that they came from: what was found, charts, tables, limits, commands."""
    with session.working():
        from agent.narratives import narrator
        from tools.report import report as write_report

        workspace = session.workspace
        tell = narrator(workspace.runs, session.settings, llm, compared=compare)
        path = write_report(run_ids, out, workspace, language=language, compare=compare, narrator=tell)
    show_json({"path": str(path), "runs": list(run_ids)}) if session.as_json else show(f"wrote {path}")


@main.command()
@click.argument("run_id", metavar="RUN")
@click.option(
    "--opinion", "llms", metavar="NAME", multiple=True, required=True, help="ollama:MODEL or openai:MODEL; repeat it."
)
@common
def opinion(session: Session, run_id: str, llms: tuple[str, ...]) -> None:
    """Ask several language models which layers of an analysis or a plan they would remove, side by side."""
    with session.working():
        from agent.opinions import opinions, side_by_side

        found = opinions(run_id, llms, session.settings, session.workspace.runs)
    click.echo(found.model_dump_json(indent=1) if session.as_json else side_by_side(found))
    if all(each.problem for each in found.opinions):
        click.get_current_context().exit(1)


@main.command()
@click.option("--llm", metavar="NAME", help="auto, offline, ollama:MODEL or openai:MODEL.")
@click.option("--session", "name", metavar="ID", help="Take up a conversation, or begin one of this name.")
@click.option("--once", metavar="TEXT", help="Ask one thing, print the answer and end.")
@click.option(
    "--approve",
    type=click.Choice(["ask", "all", "none"]),
    default="ask",
    show_default=True,
    help="Steps that take long or delete: ask first, approve all of them, or none.",
)
@click.option(
    "--processes", is_flag=True, help="Each workflow as a job (layerwise jobs), which goes on when the chat is closed."
)
@common
def chat(session: Session, llm: str | None, name: str | None, once: str | None, approve: Any, processes: bool) -> None:
    """Talk about layers; offline needs no language model."""
    settings = session.settings  # first: it silences the libraries that the next line imports
    from agent.repl import chat as converse

    code = converse(settings, session.workspace, llm or settings.llm, name, once, session.as_json, approve, processes)
    click.get_current_context().exit(code)


main.add_command(sessions)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=7860, show_default=True, help="0 takes a free one.")
@click.option(
    "--auth",
    metavar="USER:PASSWORD",
    multiple=True,
    envvar="LAYERWISE_AUTH",  # a command line can be read by others of the machine
    help="Who may sign in; repeat it. Each sees own sessions.",
)
@click.option("--llm", metavar="NAME", help="auto, offline, ollama:MODEL or openai:MODEL.")
@common
def ui(session: Session, host: str, port: int, auth: tuple[str, ...], llm: str | None) -> None:
    """Open the chat, the runs and the jobs as a page for a browser on this machine."""
    settings = session.settings  # first: it silences the libraries that the next line imports
    from agent.quiet import without_stubs

    with without_stubs():
        from agent.ui.serve import serve

    serve(settings.model_copy(update={"llm": llm}) if llm else settings, session.workspace, host, port, auth)


@main.command()
@common
def mcp(session: Session) -> None:
    """Offer the tools of the chat to other programs by the Model Context Protocol, on standard input and output."""
    workspace = session.workspace
    try:
        import mcp  # noqa: F401
    except ImportError:
        raise UsageError("layerwise mcp needs the package mcp: pip install 'layerwise[mcp]'") from None
    from agent.mcp_server import serve

    serve(workspace)


@main.command()
@click.option("--llm", metavar="NAME", help="auto, offline, ollama:MODEL or openai:MODEL.")
@common
def doctor(session: Session, llm: str | None) -> None:
    """Grade a language model and its server for the chat, and look at this machine."""
    with session.working():
        from agent.cli_models import examine

        document, lines = examine(session, llm or session.settings.llm)
    show_json(document) if session.as_json else show(lines)


@main.command("eval")
@click.option(
    "--cases", type=click.Path(path_type=Path, dir_okay=False), help="YAML of cases; else the 60 of Layerwise."
)
@click.option("--llm", metavar="NAME", default="offline", show_default=True, help="The language model to evaluate.")
@click.option("--plain", is_flag=True, help="Beside it LangChain's create_agent with the same tools and model.")
@click.option("--only", metavar="NAME,...", help="Cases of these names or groups.")
@common
def evaluate_agent(session: Session, cases: Path | None, llm: str, plain: bool, only: str | None) -> None:
    """Measure how well the chat does with a language model, on recorded runs."""
    with session.working():
        from agent.cli_models import evaluated

        document, lines = evaluated(session, cases, llm, plain, only)
    show_json(document) if session.as_json else show(lines)


@main.command()
@common
def methods(session: Session) -> None:
    """List the importance methods."""
    with session.working():
        rows = known.methods()
    if session.as_json:
        return show_json(rows)
    # A table of so much text is wider than any terminal.
    return show(
        "\n".join(
            f"{row['id']}{' (main)' if row['main'] else ''}: {row['title']}, in {row['unit']}\n    {row['summary']}\n"
            f"    cost: {row['cost']}; {row['source']}"
            for row in rows
        )
    )


@main.command()
@common
def models(session: Session) -> None:
    """List the demo models and the ways to name a model."""
    _table(session, known.models(), ("reference", "what"))


@main.command()
@common
def datasets(session: Session) -> None:
    """List the demo data sets and the ways to name a data set."""
    with session.working():
        rows = known.datasets()
    _table(session, rows, ("reference", "what"))


def _table(session: Session, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    if session.as_json:
        return show_json(rows)
    from agent.summaries import table

    return show(table(list(columns), [[str(row[name]) for name in columns] for row in rows]))


if __name__ == "__main__":
    main()
