"""What a plan is asked to reach, as a number of layers to keep."""

import math
from collections.abc import Mapping, Sequence

from analyzers.errors import BadTarget

BYTES = 4  # of a float32 parameter


def layers_to_keep(target: Mapping[str, float], layers: int) -> int:
    """How many layers a ratio or a number of layers leaves; all of them for a plan that only quantizes.

    Args:
        target: {"ratio": R} or {"keep": N}.
        layers: in the dense model.

    Raises:
        BadTarget: the stack cannot be cut that way.
    """
    if "keep" in target:
        keep = int(target["keep"])
        if not 1 <= keep <= layers:
            raise BadTarget(f"cannot keep {keep} of {layers} layers; allowed are 1 to {layers}: for half use --ratio 2")
        return keep
    ratio = target["ratio"]
    if not (math.isfinite(ratio) and 1 <= ratio <= layers):
        raise BadTarget(
            f"ratio {ratio:g} cannot be met with {layers} layers; allowed is 1 to {layers}: for half the "
            "layers use --ratio 2"
        )
    if ratio == 1:
        return layers
    return max(1, min(layers - 1, math.floor(layers / ratio + 1e-9)))


def check_drop(max_drop: float) -> None:
    """Whether a drop can be asked for at all.

    Raises:
        BadTarget: the drop is not between 0 and 1.
    """
    if not 0 <= max_drop < 1:
        raise BadTarget(f"a drop of {max_drop:g} is not allowed; allowed is 0 to 1, such as --max-drop 0.02")


def keep_within(limit: float, dense: float, costs: Sequence[float], flag: str, unit: str) -> int:
    """How many layers stay within a limit whichever they are: the cheapest are taken to be the ones that go.

    Args:
        limit: of the whole model.
        dense: cost of the whole model with all layers.
        costs: of each layer.
        flag: option that gave the limit, for the message.
        unit: of all these numbers.

    Raises:
        BadTarget: the dense model is within the limit already, or one layer alone is not.
    """
    together = sum(costs)
    if (
        together > dense
    ):  # as they were timed alone, on a machine that did other work too: something is left without them
        costs = [cost * dense / together for cost in costs]
    left, *fewer = [dense - gone for gone in _running(sorted(costs))]
    if not limit < left:
        raise BadTarget(
            f"the dense model takes {left:.4g} {unit}, no more than {flag} {limit:g}; there is nothing to remove: give less "
            "than that, or use --ratio 2"
        )
    least = fewer[-2]
    if limit < least:
        raise BadTarget(
            f"{flag} {limit:g} cannot be reached by removing layers: with 1 of {len(costs)} the model takes {least:.4g} "
            f"{unit} of {left:.4g}; the nearest that can be reached is {flag} {_above(least)}"
        )
    return len(costs) - 1 - next(removed for removed, cost in enumerate(fewer) if cost <= limit)


def _running(costs: Sequence[float]) -> list[float]:
    return [sum(costs[:count]) for count in range(len(costs) + 1)]


def _above(value: float) -> str:
    """Three digits, rounded up: what is proposed has to be allowed."""
    scale = 10 ** (math.floor(math.log10(value)) - 2)
    return f"{math.ceil(value / scale) * scale:.6g}"
