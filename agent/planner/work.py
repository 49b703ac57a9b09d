"""The scripts that make runs. Each knows what it needs first, and gets it."""

from typing import Any

from agent.planner.memory import Facts
from agent.planner.slots import Slots
from agent.planner.tables import tables
from agent.planner.turn import Ask, Script, Turn

Section = tuple[str, dict[str, Any]]  # name of a template and its values

MODEL_RUNS = ("train", "compression")  # runs that produced a model
_OF_GGUF = {"int8": "q8_0", "nf4": "q4_0"}  # what such a file has for 8 and 4 bits


def train(turn: Turn) -> Script[Section]:
    return "trained", {"run": (yield from _train(turn, _model(turn)))}


def analyze(turn: Turn) -> Script[Section]:
    return "analyzed", {"run": (yield from _analyze(turn))}


def plan(turn: Turn) -> Script[Section]:
    existing = turn.named_run("plan") or (None if turn.slots.target else turn.memory.latest(["plan"]))
    if existing and not turn.task.fresh.target:
        return "planned", {"run": (yield from turn.show(existing))}
    return "planned", {"run": (yield from _plan(turn))}


def compress(turn: Turn) -> Script[Section]:
    slots = turn.slots
    plan_id = turn.named_run("plan") or turn.made("plan") or existing_plan(turn)
    if plan_id is None and _means_a_plan(turn):
        plan_id = yield from turn.look_up("plan")
    if plan_id is None:
        plan_id = (yield from _plan(turn))["run"]
    run = yield from turn.call(
        "compress_model",
        plan=plan_id,
        heal=slots.heal,
        quantize=slots.quantize,
        epochs=_healing_epochs(turn),
        seed=slots.seed,
    )
    return "compressed", {"run": run}


def evaluate(turn: Turn) -> Script[Section]:
    model, data = yield from _model_with_head(turn)
    seed = turn.slots.seed
    run = yield from turn.call("evaluate_model", model=model, data=data, batch_size=_batch_size(turn), seed=seed)
    return "evaluated", {"run": run}


def export(turn: Turn) -> Script[Section]:
    slots = turn.slots
    model = turn.made("compression") or turn.made("train") or turn.named_run(*MODEL_RUNS, "plan")
    model = model or next(iter(slots.models), None) or turn.memory.latest(MODEL_RUNS)
    if model is None:
        model = yield from turn.look_up(*MODEL_RUNS)
    if model is None:
        raise Ask("model", runs=turn.memory.focus)
    spoken = turn.task.fresh if turn.task.fresh.export else slots  # another format has its own precisions
    bits = spoken.quantize if spoken.export == "gguf" and "compress" not in turn.task.goals else None
    precision = spoken.precision or bits
    run = yield from turn.call(
        "export_model",
        model=model,
        format=slots.export,
        remove=slots.layers if model in slots.models else (),
        precision=_OF_GGUF.get(precision or "", precision),
        seed=slots.seed,
    )
    return "exported", {"run": run}


def report(turn: Turn) -> Script[Section]:
    runs = list(turn.slots.runs) or _story(turn)
    if not runs:
        listed = yield from turn.call("list_runs", limit=10)
        runs = [run["run"] for run in reversed(listed["runs"]) if run["status"] == "done"][-4:]
    if not runs:
        return "nothing_yet", {"what": "run"}
    wanted = turn.slots.out
    ending = turn.slots.format or (wanted.rpartition(".")[2].lower() if wanted else None)
    language = turn.slots.language or turn.task.language
    told = None if language == "en" else language
    written = yield from turn.call("write_report", runs=runs, format=ending, language=told)
    return "reported", {"path": written["report"], "runs": runs, "wanted": wanted, "told_in": told}


def existing_plan(turn: Turn) -> str | None:
    """The plan that was spoken of, unless this message wants another model, other data or another size."""
    fresh = turn.task.fresh
    model, data = next(iter(turn.slots.models), None), next(iter(turn.slots.data), None)
    if fresh.target or fresh.measures or fresh.samples or turn.named_run("analysis", *MODEL_RUNS):
        return None
    found = turn.memory.latest(["plan"], model=model, data=data)
    return None if found is None or turn.memory.newer("train", found) or turn.memory.newer("analysis", found) else found


def check_asked(turn: Turn) -> None:
    """Ask for what only the user knows before minutes are spent.

    Raises:
        Ask: a value is missing, or there are two where one is meant.
    """
    goals, slots = set(turn.task.goals), turn.slots
    for name, values in (("model", slots.models), ("data", slots.data)):
        if len(values) > 1:
            raise Ask("one", what=name, values=values)
    if {"plan", "compress"} & goals and slots.ratio is not None and slots.ratio < 1:
        raise Ask("ratio")
    if {"plan", "compress"} & goals and not slots.target and not slots.quantize:
        known = turn.named_run("plan") or ("train" not in goals and existing_plan(turn))
        if "compress" in goals and turn.task.fresh.layers and not known:
            raise Ask("target", layers=turn.task.fresh.layers)
        if not known and not _means_a_plan(turn):
            raise Ask("target", layers=())


def _means_a_plan(turn: Turn) -> bool:
    """Whether "apply the plan" speaks of one from before this conversation."""
    goals, reading = turn.task.goals, turn.task.reading
    return (
        "compress" in goals and not {"plan", "train"} & set(goals) and "plan" in reading.kinds and not turn.slots.target
    )


def _train(turn: Turn, model: str | None) -> Script[Facts]:
    slots = turn.slots
    if model is None:
        raise Ask("model", runs=[])
    return (
        yield from turn.call(
            "train_model",
            model=model,
            data=_data(turn, model),
            epochs=slots.epochs,
            batch_size=slots.batch_size,
            learning_rate=slots.learning_rate,
            seed=slots.seed,
            from_scratch=slots.from_scratch,
            resume=slots.resume,
        )
    )


def _analyze(turn: Turn) -> Script[Facts]:
    slots = turn.slots
    model, data = yield from _model_with_head(turn)
    return (
        yield from turn.call(
            "analyze_layers",
            model=model,
            data=data,
            methods=slots.measures,
            samples=slots.samples,
            batch_size=_batch_size(turn),
            seed=slots.seed,
        )
    )


def _plan(turn: Turn) -> Script[Facts]:
    slots = turn.slots
    if not slots.target and not slots.quantize:
        raise Ask("target", layers=())
    analysis = yield from _analysis(turn)
    target = dict(slots.target) or {"ratio": 1}  # whoever asks for fewer bits alone keeps all layers
    if "drop" in target:
        known = turn.memory.runs.get(analysis, {})
        known = known if "result" in known else (yield from turn.show(analysis))
        target = {"keep": known["result"]["layers"] - int(target["drop"])}
    return (yield from turn.call("plan_compression", analysis=analysis, **target, budget=slots.budget, seed=slots.seed))


def _analysis(turn: Turn) -> Script[str]:
    """The id of the analysis to plan on: named, made just now, spoken of before, in the history, or a new one."""
    if known := turn.named_run("analysis") or turn.made("analysis"):
        return known
    model, data = next(iter(turn.slots.models), None), next(iter(turn.slots.data), None)
    trained_here = turn.memory.latest(MODEL_RUNS, model=model, data=data) in turn.memory.made
    model = turn.named_run(*MODEL_RUNS) or model
    wants_new = bool(turn.task.fresh.measures or turn.task.fresh.samples or turn.made("train"))
    if not wants_new:
        spoken = turn.memory.latest(["analysis"], model=model, data=data)
        if spoken and not turn.memory.newer("train", spoken):
            return spoken
        session_model = turn.memory.latest(MODEL_RUNS)
        # an older analysis is of an older model than the one that this conversation trained
        if (model or not session_model) and (not trained_here or turn.named_run(*MODEL_RUNS)):
            found = yield from turn.look_up("analysis", model=model, data=data)
            if found:
                return found
    return str((yield from _analyze(turn))["run"])


def _model_with_head(turn: Turn) -> Script[tuple[str, str]]:
    """A model that can do the task, and data for it. A bare demo encoder is trained first, unless that was done."""
    model = turn.made("train") or turn.named_run(*MODEL_RUNS)
    data = next(iter(turn.slots.data), None)
    if model is None and (other := next(iter(turn.task.fresh.runs), None)):  # of another kind: its model is meant
        told = yield from turn.show(other)
        return told["model"], data or told["data"]
    if model is None and (named := next(iter(turn.slots.models), None)):
        if named not in tables()["headless"]:
            return named, _data(turn, named)
        model = turn.memory.latest(["train"], model=named, data=data)
        if model is None:
            model = yield from turn.look_up("train", model=named, data=data)
        if model is None:
            model = (yield from _train(turn, named))["run"]
    model = model or turn.memory.latest(MODEL_RUNS)
    if model is None:
        earlier = turn.memory.frame.slots.models if turn.memory.frame else ()
        if not earlier and turn.task.reading.definite:
            kinds = [kind for kind in MODEL_RUNS if kind in turn.task.reading.kinds] or MODEL_RUNS
            model = yield from turn.look_up(*kinds, data=None)
    if model is None:
        if not earlier:
            raise Ask("model", runs=turn.memory.focus)
        turn.slots = Slots(models=earlier[:1]).over(turn.slots)
        return (yield from _model_with_head(turn))
    if data is None:
        known = turn.memory.runs.get(model) or (yield from turn.show(model))
        data = known.get("data") or _data(turn, model)
    return model, data


def _model(turn: Turn) -> str | None:
    """The model to train: named now, or in the last frame when it was not finished."""
    if turn.slots.models:
        return turn.slots.models[0]
    if named := turn.named_run(*MODEL_RUNS):
        return named
    frame = turn.memory.frame
    return frame.slots.models[0] if frame and frame.slots.models else turn.memory.latest(MODEL_RUNS)


def _data(turn: Turn, model: str) -> str:
    """The data that the user named.

    Raises:
        Ask: none; for a demo model the question carries a proposal, never a silent choice.
    """
    if turn.slots.data:
        return turn.slots.data[0]
    proposed = tables()["demo_data"].get(model)
    raise Ask("data", Slots(data=(proposed,)) if proposed else None, model=model, proposed=proposed)


def _healing_epochs(turn: Turn) -> int | None:
    """Those of healing; epochs without a word more belong to the training where one was asked for."""
    return turn.slots.heal_epochs or (None if "train" in turn.task.goals else turn.slots.epochs)


def _batch_size(turn: Turn) -> int | None:
    """That of a measurement; where a training was asked for too, it is meant for that."""
    return None if "train" in turn.task.goals else turn.slots.batch_size


def _story(turn: Turn) -> list[str]:
    """The last run of each kind that the conversation is about, in the order they were made."""
    last = {run.partition("-")[0]: run for run in turn.memory.focus if run in turn.memory.runs}
    return [run for run in turn.memory.focus if run in last.values()]
