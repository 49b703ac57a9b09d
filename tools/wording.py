"""Numbers, intervals and durations as people read them."""

from analyzers.records import Estimate, Measurement, PlanResult

SHARES = {"accuracy", "f1", "repetition"}  # shown as percentages
WHOLE = {"parameters"}
NAMES = {
    "attention_entropy": "attention focus",  # the score is high where the entropy is low
    "cka": "CKA change",
    "f1": "F1",
    "fisher": "Fisher",
    "shap": "SHAP",
    "spectral": "stable rank",
    "taylor": "Taylor importance",
    "latency_ms": "latency",
    "peak_memory_mb": "peak memory",
    "disk_mb": "size on disk",
    "repetition": "repeated 4-grams",
    "same_beginning": "same beginning of texts",
    "text_distance": "edit distance of texts",
    "written_tokens": "length of texts",
    "none": "float32",
}


def title(name: str) -> str:
    """The name of a method, a measurement or a baseline in plain words."""
    return NAMES.get(name, name.replace("_", " "))


def number(value: float, name: str = "", unit: str = "") -> str:
    """One value with its unit: `89.9 %`, `22.7 M`, `6.1 ms`, `0.281 nats`."""
    if name in SHARES:
        return f"{100 * value:.1f} %"
    if name in WHOLE:
        return count(value)
    return f"{significant(value)} {unit}".strip()


def significant(value: float) -> str:
    """Three significant digits without an exponent where that stays readable."""
    if value == 0:
        return "0"
    size = abs(value)
    if 0.001 <= size < 999.5:
        return f"{value:#.3g}".rstrip(".")
    return f"{value:,.0f}" if 999.5 <= size < 1e7 else f"{value:.2e}"


def count(value: float) -> str:
    """A number of things: `455`, `22.7 M`, `1.2 G`."""
    for size, letter in ((1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.1f} {letter}"
    return f"{value:,.0f}"


def interval(low: float | None, high: float | None, name: str = "") -> str:
    """`87.1 to 92.5`, in the unit of the value; empty where there is none."""
    if low is None or high is None:
        return ""
    if name in SHARES:
        return f"{100 * low:.1f} to {100 * high:.1f}"
    return f"{significant(low)} to {significant(high)}"


def cells(found: Measurement) -> list[str]:
    """A measurement as the row of a table: what was measured, of what, on which split, its value, of how many examples."""
    what = ", ".join(filter(None, (title(found.name), found.conditions)))
    return [what, found.subject, found.split or "", with_interval(found), f"{found.n:,}" if found.n else ""]


def with_interval(found: Measurement | Estimate, name: str = "", unit: str = "") -> str:
    """`89.9 % (87.1 to 92.5)`."""
    if isinstance(found, Measurement):
        name, unit = found.name, found.unit
    between = interval(found.low, found.high, name)
    return number(found.value, name, unit) + (f" ({between})" if between else "")


def layers(indexes: list[int]) -> str:
    """`1, 3-5`; `none` for no layer."""
    parts: list[str] = []
    ordered = sorted(indexes)
    start = 0
    for position, index in enumerate(ordered):
        if position + 1 == len(ordered) or ordered[position + 1] != index + 1:
            first = ordered[start]
            parts += (
                [f"{first}-{index}"] if position - start > 1 else [str(each) for each in ordered[start : position + 1]]
            )
            start = position + 1
    return ", ".join(parts) or "none"


def units(plan: PlanResult, indexes: list[int]) -> str:
    """Layers by their numbers, parts of layers as `parts 3.self_attn, 7.mlp`."""
    if plan.granularity == "block":
        return layers(indexes)
    return "parts " + ", ".join(".".join(plan.layers[index].name.split(".")[-2:]) for index in sorted(indexes))


def cut(text: str, longest: int) -> str:
    """At most so many characters; the last says that there were more."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def took(seconds: float | None) -> str:
    """How long something took; nothing where it did not begin."""
    return "" if seconds is None else duration(seconds)


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3:04` (minutes and seconds) or `1:02:03`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def size(amount: float) -> str:
    """Bytes as `812 B`, `69.6 MB`."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if amount >= limit:
            return f"{amount / limit:.1f} {unit}"
    return f"{amount:.0f} B"
