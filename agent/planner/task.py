"""What a message means at its place in the conversation: "yes", "with ratio 3", "do it", "again"."""

from agent.planner.memory import Frame, Memory
from agent.planner.reading import Language, Reading
from agent.planner.slots import TARGET, Slots
from analyzers.records import Record

WORK = ("train", "analyze", "plan", "compress", "evaluate", "export", "report")
RANKINGS = ("top_layer", "bottom_layer")

# A changed value repeats only the work that depends on it.
_AFFECTED = {
    **dict.fromkeys((*TARGET, "budget"), ("plan", "compress")),
    **dict.fromkeys(("methods", "excluded"), ("analyze", "plan", "compress", *RANKINGS, "layer", "explain")),
    "samples": ("analyze", "plan", "compress"),
    "place": RANKINGS,
    "heal": ("compress",),
    **dict.fromkeys(("epochs", "learning_rate"), ("train", "compress")),
    "batch_size": ("train", "analyze", "evaluate"),
    **dict.fromkeys(("format", "language", "out"), ("report",)),
    **dict.fromkeys(("export", "precision"), ("export",)),
}


class Task(Record):
    goals: tuple[str, ...]
    slots: Slots  # what holds now, earlier messages included
    fresh: Slots  # what this message says
    reading: Reading

    @property
    def language(self) -> Language:
        return self.reading.language


def understand(reading: Reading, memory: Memory) -> Task | None:
    """The task of a message; None when it asks for nothing that the planner can do."""
    frame = memory.frame
    if frame and _same_of_others(reading, frame):
        reading = reading.model_copy(update={"goals": ()})
    goals = _resolved(reading, memory)
    slots = reading.slots
    if frame and frame.asked and _agrees(reading, frame):
        goals, slots = frame.goals, slots.over((frame.proposal or Slots()).over(frame.slots))
    elif frame and not reading.goals and slots.named and _goes_on(reading, frame):
        goals, slots = _continued(reading, memory), slots.over(frame.slots)
    elif frame and _takes_up(reading, memory):
        goals, slots = (frame.goals if set(goals) <= set(frame.goals) else goals), slots.over(frame.slots)
    if not goals:
        return None
    return Task(goals=goals, slots=slots, fresh=reading.slots, reading=reading)


def _agrees(reading: Reading, frame: Frame) -> bool:
    return reading.talk == "affirm" or (frame.proposal is not None and reading.goals == ("do_it",))


def _same_of_others(reading: Reading, frame: Frame) -> bool:
    """Whether "and shap?" asks the question before it once more, of other methods, and not what SHAP is."""
    return bool(
        reading.goals == ("explain",)
        and reading.bare
        and reading.follow_up
        and set(frame.goals) & {*RANKINGS, "layer", "analyze"}
    )


def _goes_on(reading: Reading, frame: Frame) -> bool:
    """Whether values without a goal are meant for the last work. Work of minutes is not repeated on a chance mention."""
    if reading.talk == "refuse" or reading.asked_how:
        return False
    return reading.bare or (frame.asked is not None and not reading.text.rstrip().endswith(("?", "？")))


def _continued(reading: Reading, memory: Memory) -> tuple[str, ...]:
    """Values without a verb: an answer to a question, or the last work once more with other values."""
    frame = memory.frame
    if frame is None or frame.asked:
        return frame.goals if frame else ()
    wanted = {goal for name in reading.slots.named for goal in _AFFECTED.get(name, frame.goals)}
    return tuple(goal for goal in frame.goals if goal in wanted)


def _takes_up(reading: Reading, memory: Memory) -> bool:
    """Whether a message with goals goes on with the last frame, so that its values still hold."""
    frame = memory.frame
    if frame is None:
        return False
    if "again" in reading.goals or ("train" in reading.goals and reading.slots.resume):
        return True
    if "reason" in reading.goals or (reading.follow_up and reading.slots.place and set(frame.goals) & set(RANKINGS)):
        return True
    if "do_it" in reading.goals and set(reading.goals) == {"do_it"}:
        return True
    return bool(frame.asked) and bool(set(reading.goals) & set(frame.goals) or frame.asked == "goal")


def _resolved(reading: Reading, memory: Memory) -> tuple[str, ...]:
    """The goals with "do it" and "again" replaced by what they stand for."""
    frame = memory.frame
    before = frame.goals if frame else ()
    goals: list[str] = []
    for goal in reading.goals:
        match goal:
            case "again":
                meant = before
            case "do_it" if "again" in reading.goals:
                continue  # "do it again": the same, whatever it was
            case "do_it":
                meant = _it(reading, memory, tuple(goals))
            case _:
                meant = (goal,)
        goals += [each for each in meant if each not in goals]
    if goals[:1] == ["train"] and reading.slots.resume and before:
        goals = [*before]
    return tuple(goals)


def _it(reading: Reading, memory: Memory, earlier: tuple[str, ...]) -> tuple[str, ...]:
    """What "do it" stands for, after the goals that the same message named before."""
    before = memory.frame.goals if memory.frame else ()
    if earlier:
        return ("compress",) if {"plan", "analyze"} & set(earlier) or reading.slots.target else ()
    if reading.slots.models or reading.slots.data:
        return before
    if reading.slots.target or memory.latest(["plan"]) or {"plan", "compress"} & set(before):
        return ("compress",)
    return before
