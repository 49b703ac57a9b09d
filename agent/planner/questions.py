"""The scripts that answer from runs that exist. They never start work."""

from collections.abc import Callable
from typing import Any

from agent.planner.memory import Facts
from agent.planner.tables import tables
from agent.planner.task import RANKINGS
from agent.planner.turn import Script, Turn
from agent.planner.work import MODEL_RUNS, Section

MEASURED = ("compression", "evaluation", "train", "plan")
TIMED = ("compression", "plan", "evaluation", "train")


def top_layer(turn: Turn, least: bool = False) -> Script[Section]:
    run = yield from _run(turn, "analysis")
    if run is None:
        return "nothing_yet", {"what": "analysis"}
    methods = _methods(turn, run)
    if not methods:
        return "not_scored", {"run": run, "methods": turn.slots.methods or list(run["result"]["methods"])}
    place = turn.slots.place or 0
    if place >= run["result"]["layers"]:
        return "no_such_layer", {"run": run, "layers": [place]}
    return "ranking", {"run": run, "least": least, "methods": methods, "place": place}


def bottom_layer(turn: Turn) -> Script[Section]:
    return (yield from top_layer(turn, least=True))


def reason(turn: Turn) -> Script[Section]:
    """A "why?" after an answer: about the layer that was named there, else about those that a plan removes."""
    frame = turn.memory.frame
    before = frame.goals[-1] if frame and frame.goals else ""
    if before not in RANKINGS:
        if before in ("plan", "compress", "layer"):
            return (yield from layer(turn))
        return "not_understood", {"asked": frame.asked if frame else None}
    run = yield from _run(turn, "analysis")
    if run is None:
        return "nothing_yet", {"what": "analysis"}
    scored, methods = run["result"]["methods"], _methods(turn, run)
    order = run["result"]["most_important_first"]
    if len(methods) == 1:
        order = [score["layer"] for score in sorted(scored[methods[0]]["scores"], key=lambda score: score["rank"])]
    place = turn.slots.place or 0
    if place >= len(order):
        return "no_such_layer", {"run": run, "layers": [place]}
    return (yield from layer(turn, (order[-1 - place] if before == "bottom_layer" else order[place],)))


def layer(turn: Turn, meant: tuple[int, ...] = ()) -> Script[Section]:
    """Why a layer matters or not: its scores and ranks, what the plan measured, and what the best method means."""
    plan = None
    asked = meant or turn.slots.layers
    asks_plan = not asked  # "why did you drop those?"
    if asks_plan or turn.memory.latest(["plan"]):
        plan = yield from _run(turn, "plan")
    run = yield from _analysis_of(turn, plan)
    if run is None:
        return "nothing_yet", {"what": "analysis"}
    result = run["result"]
    layers = asked or (tuple(plan["result"]["remove"]) if plan else tuple(result["most_important_first"][:1]))
    unknown = [each for each in layers if each >= result["layers"]]
    if unknown:
        return "no_such_layer", {"run": run, "layers": unknown}
    shown = [name for name in result["methods"] if name not in turn.slots.excluded] or list(result["methods"])
    named = [method for method in turn.slots.methods if method in shown]
    notes = yield from _notes(turn, named or [result["believe"] if result["believe"] in shown else shown[0]])
    return "why_layer", {"run": run, "plan": plan, "layers": layers, "methods": shown, "notes": notes}


def agreement(turn: Turn) -> Script[Section]:
    run = yield from _run(turn, "analysis")
    if run is None:
        return "nothing_yet", {"what": "analysis"}
    methods = _methods(turn, run)
    if not methods:
        return "not_scored", {"run": run, "methods": turn.slots.methods}
    note = yield from turn.call("explain_method", name="agreement")
    return "agreement", {"run": run, "note": note, "methods": methods}


def believe(turn: Turn) -> Script[Section]:
    run = yield from _run(turn, "analysis")
    if run is None:
        return "nothing_yet", {"what": "analysis"}
    best = run["result"]["believe"]
    notes = yield from _notes(turn, [*([best] if best else []), "fidelity", "agreement"])
    return "believe", {"run": run, "notes": notes}


def speed(turn: Turn) -> Script[Section]:
    run = yield from _run_of_kind(turn, TIMED)
    return ("speed", {"run": run}) if run else ("nothing_yet", {"what": "run"})


def quality(turn: Turn) -> Script[Section]:
    run = yield from _run_of_kind(turn, MEASURED)
    if run is None:
        return "nothing_yet", {"what": "run"}
    there = list(dict.fromkeys(each["name"] for each in run["measurements"]))
    wanted = turn.task.reading.metrics
    found = [name for name in wanted if name in (*there, run["result"].get("metric"))]
    if wanted and not found:
        return "not_measured", {"run": run, "metrics": wanted, "there": there}
    return "quality", {"run": run, "metrics": found}


def provenance(turn: Turn) -> Script[Section]:
    run = yield from _run(turn, "compression", "evaluation", "plan", "analysis", "train")
    return ("provenance", {"run": run}) if run else ("nothing_yet", {"what": "run"})


def show(turn: Turn) -> Script[Section]:
    kinds = turn.task.reading.kinds or ("export", "compression", "evaluation", "plan", "analysis", "train")
    run = yield from _run(turn, *kinds, finished=False)
    return ("shown", {"run": run}) if run else ("nothing_yet", {"what": "run"})


def list_runs(turn: Turn) -> Script[Section]:
    listed = yield from turn.call("list_runs", **turn.task.reading.filters)
    return "runs", {"runs": listed["runs"], "when": listed.get("when")}


def best_run(turn: Turn) -> Script[Section]:
    """The run that did best in a measurement, among those that are meant, and the next ones beside it."""
    listed = yield from turn.call("list_runs", **turn.task.reading.filters, limit=5)
    return "best", {"runs": listed["runs"], "when": listed.get("when"), "measurement": turn.slots.best}


def search_runs(turn: Turn) -> Script[Section]:
    query = turn.task.reading.query
    if not query:
        return (yield from list_runs(turn))
    found = yield from turn.call("search_runs", query=query)
    return "runs", {"runs": found["runs"], "when": None}


def compare(turn: Turn) -> Script[Section]:
    """Runs by id; or the current one with the one before it of the same kind. Methods: how far they agree."""
    if turn.slots.methods and not turn.slots.runs:
        return (yield from agreement(turn))
    runs = list(turn.slots.runs)
    if len(runs) < 2:
        current = runs[0] if runs else turn.memory.latest(turn.task.reading.kinds or (*MEASURED, "analysis"))
        kind = current.partition("-")[0] if current else next(iter(turn.task.reading.kinds), None)
        listed = yield from turn.call("list_runs", kind=kind)
        done = [run for run in listed["runs"] if run["status"] == "done"]
        if current is None and done:
            current = done[0]["run"]
        same = [run["run"] for run in done if current and run["kind"] == current.partition("-")[0]]
        earlier = same[same.index(current) + 1 :] if current in same else same
        runs = [*earlier[:1], current] if current and earlier else [current] if current else []
    if len(runs) < 2:
        return "one_run", {"runs": runs}
    compared = yield from turn.call("compare_runs", runs=runs)
    return "comparison", {"compared": compared}


def explain(turn: Turn) -> Script[Section]:
    names = [name for name in turn.slots.methods if name not in ("all", "main")]
    if not names:
        return (yield from list_methods(turn))
    return "explained", {"notes": (yield from _notes(turn, names))}


def explain_step(turn: Turn) -> Script[Section]:
    word = turn.task.reading.step
    if word in tables()["steps"]:
        return "how", {"steps": [tables()["steps"][word]]}
    return "explained", {"notes": [(yield from turn.call("explain_method", name=tables()["topics"][word]))]}


def list_methods(turn: Turn) -> Script[Section]:
    return "methods", {"known": (yield from turn.call("list_capabilities"))}


def list_models(turn: Turn) -> Script[Section]:
    return "models", {"known": (yield from turn.call("list_capabilities"))}


def list_datasets(turn: Turn) -> Script[Section]:
    return "datasets", {"known": (yield from turn.call("list_capabilities"))}


def _constant(name: str) -> Callable[[Turn], Script[Section]]:
    def script(turn: Turn) -> Script[Section]:  # noqa: ARG001
        return name, {}
        yield  # a script, though it calls nothing

    return script


helped = _constant("help")


def delete(turn: Turn) -> Script[Section]:
    """Only runs that the message itself names: nothing is deleted that "it" or "all" might mean."""
    runs = turn.task.fresh.runs
    if not runs:
        return "delete", {}
    force = turn.task.reading.insists or None
    gone = []
    for run in runs:
        gone.append((yield from turn.call("delete_run", run=run, force=force)))
    return "deleted", {"gone": gone}


def _notes(turn: Turn, names: list[str]) -> Script[list[Facts]]:
    notes = []
    for name in names:
        notes.append((yield from turn.call("explain_method", name=name)))
    return notes


def _methods(turn: Turn, run: Facts) -> list[str]:
    """The methods that are meant, as far as the analysis used them; all when none was named."""
    wanted = turn.slots.methods
    everyone = not wanted or {"all", "main"} & set(wanted)
    used = [method for method in run["result"]["methods"] if method not in turn.slots.excluded]
    return [method for method in used if everyone or method in wanted]


def _analysis_of(turn: Turn, plan: Facts | None) -> Script[Facts | None]:
    """The analysis that the plan was made on, or the one that is spoken of."""
    parent = next((run for run in (plan or {}).get("parents", []) if run.startswith("analysis-")), None)
    if parent and not turn.named_run("analysis"):
        return (yield from turn.show(parent))
    return (yield from _run(turn, "analysis"))


def _run(turn: Turn, *kinds: str, finished: bool = True) -> Script[Facts | None]:
    """The run that a question is about: named, spoken of last, or the newest in the history."""
    model = next(iter(turn.slots.models), None) or turn.named_run(*MODEL_RUNS)
    data = next(iter(turn.slots.data), None)
    run = turn.named_run(*kinds) or turn.memory.latest(kinds, model=model, data=data)
    if run is None:
        listed = yield from turn.call("list_runs", kind=kinds[0] if len(kinds) == 1 else None, model=model)
        candidates = [each for each in listed["runs"] if each["kind"] in kinds and data in (None, each["data"])]
        run = next((str(each["run"]) for each in candidates if each["status"] == "done" or not finished), None)
    return (yield from turn.show(run)) if run else None


def _run_of_kind(turn: Turn, kinds: tuple[str, ...]) -> Script[Facts | None]:
    """Of the kind that the question names, "the compressed model", where there is one; else of any of the kinds."""
    named = [kind for kind in turn.task.reading.kinds if kind in kinds]
    run = (yield from _run(turn, *named)) if named and not turn.named_run(*kinds) else None
    return run or (yield from _run(turn, *kinds))


SCRIPTS: dict[str, Callable[[Turn], Script[Any]]] = {
    "top_layer": top_layer,
    "bottom_layer": bottom_layer,
    "reason": reason,
    "layer": layer,
    "agreement": agreement,
    "believe": believe,
    "speed": speed,
    "quality": quality,
    "provenance": provenance,
    "show": show,
    "list_runs": list_runs,
    "search_runs": search_runs,
    "best_run": best_run,
    "compare": compare,
    "explain": explain,
    "explain_step": explain_step,
    "list_methods": list_methods,
    "list_models": list_models,
    "list_datasets": list_datasets,
    "help": helped,
    "delete": delete,
}
