"""The generators that a model may draw from: seeded, read and set together."""

import random
from typing import Any

import numpy as np
import torch


def seed_all(seed: int) -> None:
    """The same numbers from here on for the same seed."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def random_states() -> dict[str, Any]:
    """The states of all generators that a model may draw from, as what `weights_only` can load."""
    legacy: Any = np.random.get_state()  # (name, keys, position, ...)
    return {
        "python": random.getstate(),
        "numpy": [legacy[0], legacy[1].tolist(), *legacy[2:]],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "mps": [torch.mps.get_rng_state()] if torch.backends.mps.is_available() else [],
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Go on from what `random_states` gave."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(states["torch"])
    if states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])
    for state in states["mps"]:
        torch.mps.set_rng_state(state)
