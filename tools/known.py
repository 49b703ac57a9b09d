"""What Layerwise knows: methods, models and data sets, as rows for whoever lists them."""

from typing import Any

Rows = list[dict[str, Any]]


def methods() -> Rows:
    """The importance methods."""
    from analyzers.importance import methods as registered

    columns = ("id", "title", "unit", "cost", "summary", "source", "main")
    return [{name: getattr(method, name) for name in columns} for method in registered()]


def models() -> Rows:
    """The demo models and the ways to name a model."""
    from analyzers.references import DEMO_MODELS, MODEL_FORMS

    rows = [{"reference": f"demo:{name}", "what": what} for name, what in DEMO_MODELS.items()]
    return rows + [{"reference": form, "what": ""} for form in MODEL_FORMS if not form.startswith("demo:")]


def datasets() -> Rows:
    """The demo data sets and the ways to name a data set."""
    from analyzers.datasets import sources
    from analyzers.datasets.demo import DEMO_SETS

    rows = [{"reference": f"demo:{name}", "what": what} for name, what in DEMO_SETS.items()]
    return rows + [{"reference": each.form, "what": each.title} for each in sources() if each.kind != "demo"]
