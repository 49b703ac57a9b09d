"""Gates: one comparison over what a run measured, such as `test_accuracy >= 0.85`.

Python's own parser reads them; what is not in the grammar is refused, and nothing is ever evaluated as code:

    comparison = sum (">=" | "<=" | ">" | "<" | "==" | "!=") sum
    sum        = numbers and values joined by + - * / and brackets
    value      = [STEP.][SUBJECT.][SPLIT_]NAME[.low | .high | .n]      such as healed.test_accuracy.low
"""

import ast
import difflib
import math
import operator
from collections.abc import Callable, Iterable
from typing import NamedTuple, get_args

from analyzers.errors import UsageError
from analyzers.records import AnalysisResult, Measurement, Record, Run, SplitName, TrainResult
from knowledge.catalogue import HANDED_OVER
from tools.wording import significant

LONGEST = 300
SPLITS = get_args(SplitName)
PARTS = ("low", "high", "n")
OF_LAYERS = ("fidelity", "stability")  # of a method, and so with its name before them
SUBJECTS = (
    "dense", "compressed", "healed", "quantized", "exported", "model", "planned", "predicted", "run", "measured", "expected", "methods",
)  # fmt: skip
MEANT = ("run", "planned", *HANDED_OVER, "measured")  # subjects of a value that names none, what is meant first
# What workflows measure; `tests/agent/batch/test_gates.py` holds it against them.
NAMES = (
    "accuracy",
    "accuracy_ratio",
    "disk_mb",
    "epochs",
    "f1",
    "kendall_w",
    "latency_ms",
    "loss",
    "loss_ratio",
    "parameters",
    "peak_memory_mb",
    "perplexity",
    "perplexity_ratio",
    "repetition",
    "same_beginning",
    "seconds",
    "speedup",
    "text_distance",
    "throughput",
    "written_tokens",
    *OF_LAYERS,
)
_COMPARE: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.GtE: operator.ge,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.Lt: operator.lt,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_JOIN: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class Value(NamedTuple):
    """A measured value as a gate names it."""

    step: str | None  # None: of the step that has the gate
    subject: str | None  # None: the model that the run hands over (healed before dense)
    split: str | None
    name: str
    part: str | None  # low, high or n instead of the value


class Gate(NamedTuple):
    text: str
    comparison: ast.Compare
    values: tuple[Value, ...]


class Checked(Record):
    """How a gate came out."""

    text: str
    holds: bool
    found: str  # the values that it read, in words


def parse(text: str, steps: Iterable[str]) -> Gate:
    """Read a gate.

    Args:
        text: the comparison.
        steps: names of the steps that it may speak of.

    Raises:
        UsageError: it is no comparison of measured values.
    """
    if len(text) > LONGEST:
        raise UsageError(f"a gate of {len(text)} characters is too long; write one comparison: test_accuracy >= 0.85")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _no_gate(text) from None
    if not isinstance(tree, ast.Compare) or len(tree.ops) != 1 or type(tree.ops[0]) not in _COMPARE:
        raise _no_gate(text)
    known = tuple(steps)
    values = tuple(each for side in (tree.left, *tree.comparators) for each in _values(side, text, known))
    if not values:
        raise UsageError(f"{text!r} compares nothing that is measured; name a value, such as test_accuracy >= 0.85")
    return Gate(text.strip(), tree, values)


def check(gate: Gate, run_of: Callable[[str | None], Run]) -> Checked:
    """Whether the gate holds.

    Args:
        gate: from `parse`.
        run_of: the run of a step; of the step itself for None.

    Raises:
        UsageError: a run has no such value.
    """
    read: dict[str, str] = {}

    def value(node: ast.expr) -> float:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -value(operand)
            case ast.BinOp(left=left, op=op, right=right):
                try:
                    return _JOIN[type(op)](value(left), value(right))
                except ZeroDivisionError:
                    return math.nan
            case _:
                wanted = _named(node, gate.text, {each.step for each in gate.values if each.step})
                found, shown = _found(wanted, run_of(wanted.step))
                read[ast.unparse(node)] = shown
                return found

    left, right = value(gate.comparison.left), value(gate.comparison.comparators[0])
    holds = bool(_COMPARE[type(gate.comparison.ops[0])](left, right))
    return Checked(text=gate.text, holds=holds, found=", ".join(f"{name} is {shown}" for name, shown in read.items()))


def measured(run: Run) -> list[Measurement]:
    """What gates may read of a run: its measurements, and a few numbers of its result."""
    found = [*run.measurements, Measurement(name="seconds", subject="run", value=run.seconds, unit="s")]
    match run.result:
        case AnalysisResult() as analysis:
            if analysis.agreement.kendall_w is not None:
                found.append(Measurement(name="kendall_w", subject="methods", value=analysis.agreement.kendall_w))
            for method, each in analysis.fidelity.items():
                found.append(
                    Measurement(name="fidelity", subject=method, value=each.value, low=each.low, high=each.high)
                )
            for method, steady in analysis.stability.items():
                found.append(Measurement(name="stability", subject=method, value=steady.tau, n=steady.read))
        case TrainResult() as trained:
            found.append(Measurement(name="epochs", subject="dense", value=len(trained.epochs)))
    return found


def _values(node: ast.expr, text: str, steps: tuple[str, ...]) -> list[Value]:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return []
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _values(operand, text, steps)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _JOIN:
            return [*_values(left, text, steps), *_values(right, text, steps)]
        case ast.Name() | ast.Attribute():
            return [_named(node, text, steps)]
    raise _no_gate(text)


def _named(node: ast.expr, text: str, steps: Iterable[str]) -> Value:
    words: list[str] = []
    while isinstance(node, ast.Attribute):
        words.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise _no_gate(text)
    words.insert(0, node.id)
    whole = ".".join(words)
    step = words.pop(0) if words[0] in steps and len(words) > 1 else None
    part = words.pop() if words[-1] in PARTS and len(words) > 1 else None
    name = words.pop()
    prefix = name.partition("_")[0]
    split = prefix if prefix in SPLITS else None
    name = name.removeprefix(f"{split}_") if split else name
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise UsageError(f"nothing measures {name!r}{meant} in {text!r}; there are: {', '.join(NAMES)}")
    if len(words) > 1:
        raise UsageError(f"{whole!r} is no value; write STEP.SUBJECT.NAME, such as small.healed.accuracy")
    subject = words[0] if words else None
    if subject not in (None, *SUBJECTS) and name not in OF_LAYERS:
        there = ", ".join(steps) or "none"
        raise UsageError(
            f"{subject!r} in {text!r} is neither a step ({there}) nor what was measured ({', '.join(SUBJECTS)})"
        )
    return Value(step, subject, split, name, part)


def _found(wanted: Value, run: Run) -> tuple[float, str]:
    there = measured(run)
    fits = [each for each in there if each.name == wanted.name and wanted.split in (None, each.split)]
    if wanted.subject:
        fits = [each for each in fits if each.subject == wanted.subject]
    # of several, the model that is handed over and the test split are meant
    fits.sort(key=lambda each: (_place(each.subject, MEANT), _place(each.split or "", ("test", "select"))))
    if not fits:
        names = dict.fromkeys(f"{each.subject}.{f'{each.split}_' if each.split else ''}{each.name}" for each in there)
        what = ".".join(word for word in (wanted.subject, wanted.name) if word)
        on = f" on {wanted.split}" if wanted.split else ""
        raise UsageError(f"{run.id} measured no {what}{on}; it has: {', '.join(names)}")
    first = fits[0]
    value = getattr(first, wanted.part or "value")
    if value is None:
        raise UsageError(f"{wanted.name} of {run.id} has no {wanted.part}; compare its value")
    between = f" ({significant(first.low)} to {significant(first.high)})" if first.low is not None and first.high is not None and not wanted.part else ""  # fmt: skip
    return float(value), significant(float(value)) + between


def _place(name: str, order: tuple[str, ...]) -> int:
    return order.index(name) if name in order else len(order)


def _no_gate(text: str) -> UsageError:
    return UsageError(
        f"{text!r} is no gate; write one comparison of measured values and numbers with >= <= > < == !=, and + - * / where "
        "needed: test_accuracy >= 0.85, healed.accuracy >= dense.accuracy - 0.02"
    )
