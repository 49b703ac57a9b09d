"""Precisions that weights are stored at. A new one is one new file in this folder: a module with the names of `Precision`.

Only the weights of linear layers are quantized, each by itself and without data, and only when a model is finished: they
are not trained any more. Embeddings, the head and whatever is tied to them stay in float32.
"""

import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import nn

from analyzers.errors import ModelError, UnknownPrecision
from analyzers.plugins import find_in, names_in
from analyzers.records import Quantization
from analyzers.weights import parameter_count, weight_bytes

PLAIN = "none"  # what stands for float32 in requests and records
TRIED = 64  # width of the layer that a library is tried on


class Precision(Protocol):
    """The names that the module of a precision has."""

    LIBRARY: str  # the distribution that quantizes, and that opens what was quantized
    LAYERS: str  # whose weights it stores

    def config(self, model: Any) -> Any:
        """The configuration that `from_pretrained` of transformers quantizes this model by."""
        ...

    def tried(self, layer: nn.Linear) -> nn.Module:
        """The layer at this precision, made by the library alone; whatever it raises says that it cannot."""
        ...

    def holds(self, module: nn.Module) -> bool:
        """Whether the weight of a module is stored at this precision."""
        ...


def names() -> list[str]:
    """All precisions but float32, without loading what they need."""
    return names_in(sys.modules[__name__])


def find(name: str) -> Precision:
    """The precision of that name.

    Raises:
        UnknownPrecision: there is none.
    """
    found = find_in(
        sys.modules[__name__],
        name,
        lambda known: UnknownPrecision(f"no precision {name!r}; there are: {', '.join([PLAIN, *known])}"),
    )
    return cast(Precision, found)


def check_available(name: str, device: torch.device) -> Precision:
    """Find a precision and see it compute on this machine.

    Raises:
        UnknownPrecision: there is none of that name, its library is missing, or the library cannot compute here.
    """
    form = find(name)
    others = ", ".join([PLAIN, *(other for other in names() if other != name)])
    if find_spec(form.LIBRARY) is None:
        raise UnknownPrecision(
            f"{name} needs {form.LIBRARY}, which this environment lacks; install it with: pip install {form.LIBRARY}, or "
            f"choose one of: {others}"
        )
    layer = nn.Linear(TRIED, TRIED, bias=False).to(device)
    given = torch.ones(2, TRIED, device=device)
    with torch.no_grad():
        wanted = layer(given)
        try:
            found = form.tried(layer)(given)
        except Exception as error:  # a library can fail in any way where it does not know the machine
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise UnknownPrecision(
                f"{name} cannot be computed by {form.LIBRARY} {version(form.LIBRARY)} on this machine ({device.type}): "
                f"{reason}; choose one of: {others}"
            ) from error
    if not torch.allclose(found, wanted, atol=float(wanted.abs().max())):  # far off, or not numbers at all
        raise UnknownPrecision(
            f"{name} gives wrong numbers with {form.LIBRARY} {version(form.LIBRARY)} on this machine ({device.type}); "
            f"choose one of: {others}"
        )
    return form


def precision_of(model: Any) -> str | None:
    """How the weights of a model of transformers are stored, as its configuration has it; None for plain tensors."""
    found = getattr(model.config, "quantization_config", None)
    if found is None:
        return None
    known = [name for name in names() if any(_holds(name, module) for module in model.modules())]
    method = found.get("quant_method") if isinstance(found, dict) else getattr(found, "quant_method", None)
    return known[0] if known else str(getattr(method, "value", method))


def check_plain(model: Any, name: str, verb: str) -> None:
    """Refuse a model whose weights are stored at a lower precision.

    Raises:
        ModelError: they are.
    """
    if found := precision_of(model):
        raise ModelError(
            f"{name} is quantized to {found} already, so it can only be run, measured and exported as it is; to {verb} it, "
            "name the model that it was made from, and quantize last"
        )


def quantized(model: Any, name: str, near: Path) -> Any:
    """A quantized copy of a model, in evaluation mode, on the same device.

    It is made as transformers makes it from a saved model, so that what is measured is what others will open.

    Args:
        model: of transformers, in float32.
        name: of the precision.
        near: a path beside which the model is written for a moment.

    Raises:
        UnknownPrecision: see `check_available`.
        ModelError: the model is quantized already, or has no weight that this precision can store.
        StorageError: there is too little room beside `near`.
    """
    from analyzers.compression.export import check_room
    from analyzers.storage import unfinished_beside

    check_plain(model, type(model).__name__, "quantize")
    device = next(model.parameters()).device
    form = check_available(name, device)
    check_room(near, weight_bytes(model))
    with unfinished_beside(near) as work:
        model.save_pretrained(work)
        small, report = type(model).from_pretrained(
            work,
            quantization_config=form.config(model),
            dtype=torch.float32,
            device_map={"": device},
            output_loading_info=True,
        )
    if report["missing_keys"]:
        raise ModelError(
            f"{type(model).__name__} lost weights when it was quantized to {name} "
            f"({', '.join(sorted(report['missing_keys'])[:3])}); choose another precision"
        )
    if not share(small, name):
        raise ModelError(
            f"{type(model).__name__} has no weights that {form.LIBRARY} stores as {name}: only those of {form.LAYERS} "
            f"can be; choose one of: {', '.join(other for other in [PLAIN, *names()] if other != name)}"
        )
    return small.eval()


def share(model: Any, name: str) -> float:
    """Part of the parameters that is stored at a precision, 0 to 1."""
    held = sum(m.in_features * m.out_features for m in model.modules() if _holds(name, m))
    return held / parameter_count(model)


def describe(model: Any, name: str) -> Quantization:
    """What the record of a run says of a model that was quantized."""
    library = find(name).LIBRARY
    return Quantization(precision=name, library=f"{library} {version(library)}", share=share(model, name))


def _holds(name: str, module: Any) -> bool:
    return find_spec(find(name).LIBRARY) is not None and find(name).holds(module)
