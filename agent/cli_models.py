"""What `layerwise doctor` and `layerwise eval` do and show."""

from pathlib import Path
from typing import Any

from agent import doctor, grades
from agent.cli_outcome import Session
from agent.evaluation.cases import OWN, load_cases
from agent.evaluation.run import Outcome, Score, evaluate
from agent.llm import choose
from agent.summaries import table
from analyzers.errors import LanguageModelError, UsageError


def examine(session: Session, name: str) -> tuple[dict[str, Any], str]:
    """Grade a language model and keep the grade; the document for --json and the text.

    Raises:
        LanguageModelError: the language model cannot be reached or used.
    """
    settings, workspace = session.settings, session.workspace
    surroundings = doctor.environment(workspace)
    llm = choose(name, settings)
    graded = None
    if llm.name != "offline":
        try:
            graded = doctor.grade(llm, settings, workspace, session.progress.say)
        finally:
            llm.close()
        grades.write(workspace.home, graded)
    verdict = doctor.verdict(llm, graded)
    document = {
        "llm": llm.name,
        "why": llm.why,
        "verdict": verdict,
        "grade": graded.model_dump(mode="json") if graded else None,
        "environment": surroundings.model_dump(mode="json"),
    }
    rows = [["language model", llm.why.partition("; not graded")[0]], ["verdict", verdict]]
    if graded:
        rows += [
            ["calls tools natively", _yes(graded.native)],
            ["prints calls that can be read", _yes(graded.text)],
            ["chooses under a JSON schema", _yes(graded.schema_held)],
            ["calls nothing on a greeting", _yes(graded.refrains)],
            ["context", _context(graded)],
            [
                "speed",
                f"writes {graded.tokens_per_second or '?'}, reads {graded.prompt_tokens_per_second or '?'} tokens a second",
            ],
            ["graded in", f"{graded.seconds:.0f} s"],
        ]
    demo = ", ".join(surroundings.demo_assets) or "none yet; fetched when first used"
    rows += [
        ["device", f"{surroundings.device}, {surroundings.threads} threads"],
        [
            "home",
            f"{surroundings.home}{'' if surroundings.home_writable else ' (cannot be written)'}, {surroundings.runs} runs",
        ],
        ["search index", surroundings.index],
        ["cache", f"{surroundings.cache}, demo models: {demo}"],
    ]
    return document, "\n".join(f"{name:<30}{value}" for name, value in rows)


def evaluated(
    session: Session, file: Path | None, name: str, plain: bool, only: str | None
) -> tuple[dict[str, Any], str]:
    """Run the cases; the document for --json and the text.

    Raises:
        UsageError: the cases cannot be read, or none has that name.
        LanguageModelError: the language model cannot be used.
    """
    cases = load_cases(file or OWN)
    if only:
        wanted = {each.strip() for each in only.split(",")}
        known = {case.name for case in cases} | {case.group for case in cases}
        if unknown := sorted(wanted - known):
            raise UsageError(f"no case or group {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
        cases = [case for case in cases if {case.name, case.group} & wanted]
    llm = choose(name, session.settings)
    if plain and llm.name == "offline":
        raise LanguageModelError("the built-in planner has no plain form; name a model: --llm ollama:MODEL --plain")

    def tell(outcome: Outcome) -> None:
        problems = f": {'; '.join(outcome.problems)}" if outcome.problems else ""
        session.progress.say(
            f"{'passed' if outcome.passed else 'FAILED'}  {outcome.name}  {outcome.seconds} s{problems}"
        )

    try:
        scores = [evaluate(llm, cases, tell=tell)]
        if plain:
            scores.append(evaluate(llm, cases, plain=True, tell=tell))
    finally:
        llm.close()
    return {"scores": [score.model_dump(mode="json") for score in scores]}, _shown(scores)


def _shown(scores: list[Score]) -> str:
    rows = [
        [
            score.agent,
            score.llm,
            f"{score.passed} of {score.cases}",
            _percent(score.success),
            _percent(score.refraining) if score.refraining else "none",
            f"{score.tokens:,}",
            f"{score.seconds:.0f}",
        ]
        for score in scores
    ]
    columns = ["agent", "language model", "passed", "success", "refraining", "tokens", "seconds"]
    groups = "\n".join(f"{s.agent}: {', '.join(f'{group} {n}' for group, n in s.groups.items())}" for s in scores)
    return f"{table(columns, rows)}\n{groups}"


def _percent(share: Any) -> str:
    return f"{100 * share.value:.0f} % [{100 * share.low:.0f} to {100 * share.high:.0f}]"


def _context(graded: grades.Graded) -> str:
    made = f"made for {graded.context:,} tokens" if graded.context else "its length is not told by the server"
    return f"{made}; {graded.context_set:,} are used (LAYERWISE_NUM_CTX)" if graded.context_set else made


def _yes(value: bool) -> str:
    return "yes" if value else "no"
