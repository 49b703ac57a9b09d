"""Options of the command line, made from the request records, and the ones that all verbs have."""

import contextlib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import click
from pydantic import ValidationError

from agent.cli_outcome import Session
from analyzers.compression.formats import find, names
from analyzers.compression.healing import names as strategies
from analyzers.errors import UsageError
from analyzers.records import Request

Wanted = TypeVar("Wanted", bound=Request)
VERBS = ("train", "analyze", "plan", "compress", "evaluate", "export")  # that have a request
COMPUTING = ("train", "analyze", "plan", "compress", "evaluate", "batch", "reproduce")  # on an engine
ENGINE = "Where it computes (LAYERWISE_ENGINE): this process, or a Ray cluster; ray alone starts one on this machine."

HELP = {
    "epochs": "Rounds through the train split at most.",
    "batch_size": "Examples that are computed at once; fewer need less memory.",
    "learning_rate": "Highest learning rate of the schedule.",
    "max_tokens": "Longer texts are cut.",
    "patience": "Epochs without progress on the select split before it stops.",
    "mixed_precision": "Multiply matrices in bfloat16 while training: auto (where the hardware does), bf16 or no.",
    "from_scratch": "Train a new encoder from this small configuration (YAML) instead.",
    "methods": "Importance methods, separated by commas; main: six of them, all: every one; see: layerwise methods.",
    "samples": "Examples to measure on; analyze also takes auto: until the order of the layers stays.",
    "ratio": "Target: so many times fewer layers; 2 halves them.",
    "keep": "Target: this many layers are kept.",
    "max_drop": "Target: as few layers as cost no more than this of the metric; 0.02 is two points.",
    "max_latency": "Target: milliseconds of a batch, from what each layer was seen to take.",
    "max_size": "Target: megabytes of weights.",
    "granularity": "What is removed: whole blocks, or attention and MLP parts separately.",
    "objective": "What the search goes by: the metric, the loss, or the KL divergence from the dense model.",
    "budget": "Sets of layers that may be measured; 64 where no --minutes are given.",
    "minutes": "Time that the search may take.",
    "heal": f"Repair after the removal: none, {', '.join(strategies())}.",
    "heal_minutes": "Time that healing may take; the best checkpoint is kept.",
    "heal_data": "Data sets whose texts are learned from too, without labels, separated by commas.",
    "heal_weights": "What a layer counts when hidden states are compared: by its importance, or all the same.",
    "precisions": "Also measure the best sets of each size with weights at these precisions, or all; separated by commas.",
    "quantize": "Store the weights of linear layers in fewer bits: none, int8 or nf4; needs the extra quantize.",
    "export": "Format of the saved model.",
    "format": f"What to write: {', '.join(names())}.",
    "remove": "Layers to take out, separated by commas, where no plan says which.",
    "precision": f"Of the weights, for GGUF: {', '.join(find('gguf').PRECISIONS)}; otherwise as they are.",
    "output": "Folder to make; otherwise it lies in the folder of the run.",
}


class Names(click.ParamType):
    """`fisher,shap` to `("fisher", "shap")`."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002
        if isinstance(value, tuple):
            return value
        return tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))


class OneOf(click.ParamType):
    """A whole number or a word, such as `64` or `auto`."""

    def __init__(self, types: list[Any]) -> None:
        self.types = [click.types.convert_type(each) for each in types]
        self.name = "|".join(each.name if each.name != "choice" else "|".join(each.choices) for each in self.types)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        for each in self.types:
            with contextlib.suppress(click.UsageError):
                return each.convert(value, param, ctx)
        return self.fail(f"{value!r} is not allowed; allowed is: {self.name}", param, ctx)


def options_of(
    record: type[Request], metavar: dict[str, str] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Arguments and options for every field of the request but the seed, which all verbs have."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for name, field in reversed(record.model_fields.items()):
            if name in record.positional:
                shown = (metavar or {}).get(name, name.upper())
                command = click.argument(name, metavar=shown)(command)
            elif name != "seed":
                flag = f"--{name.replace('_', '-')}"
                default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
                command = click.option(
                    flag,
                    name,
                    type=_type(field.annotation),
                    default=default,
                    show_default=bool(default) or default == 0,
                    help=HELP[name],
                )(command)
        return command

    return decorate


def _type(annotation: Any) -> Any:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        parts = [_type(part) for part in get_args(annotation) if part is not type(None)]
        return parts[0] if len(parts) == 1 else OneOf(parts)
    if origin is Annotated:
        return get_args(annotation)[0]
    if origin is Literal:
        return click.Choice(get_args(annotation))
    return Names() if origin is tuple else annotation


def request(record: type[Wanted], **fields: Any) -> Wanted:
    """The request, checked.

    Raises:
        UsageError: a value is not allowed.
    """
    try:
        return record(**fields)
    except ValidationError as problem:
        first = problem.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else record.verb
        flag = name.upper() if name in record.positional else f"--{name.replace('_', '-')}"
        what = first["msg"].removeprefix("Input ").removeprefix("Value error, ")
        raise UsageError(f"{flag} {first['input']!r}: it {what}; see: layerwise {record.verb} --help") from None


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json, --seed and --home, and pass a `Session` first. The seed and --job go only to verbs that have a request."""

    def with_session(context: click.Context, /, *, as_json: bool, seed: int, home: Path | None, **fields: Any) -> Any:
        session = Session(home, as_json)
        session.engine = fields.pop("engine", None)
        top = context.parent is None or context.parent.parent is None  # `runs export` is another verb than `export`
        if top and context.command.name in VERBS:
            fields["seed"] = seed
            session.as_job = fields.pop("as_job")
        try:
            return command(session, **fields)
        finally:
            session.close()

    with_session.__name__ = command.__name__
    with_session.__doc__ = command.__doc__
    wrapped = click.pass_context(with_session)
    if command.__name__ in COMPUTING:
        wrapped = click.option("--engine", metavar="local|ray|ray:ADDRESS", help=ENGINE)(wrapped)
    if command.__name__ in VERBS:
        wrapped = click.option(
            "--job", "as_job", is_flag=True, help="Start it in a process of its own, and return at once."
        )(wrapped)
    for option in (
        click.option(
            "--home", type=click.Path(path_type=Path, file_okay=False), help="Where runs are (LAYERWISE_HOME)."
        ),
        click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything random."),
        click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output."),
    ):
        wrapped = option(wrapped)
    return wrapped
