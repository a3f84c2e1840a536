"""Random inputs of the networks by library, the same for the same seed."""

from collections.abc import Callable
from typing import Any

import torch
from coverage_rows import Sample
from torch import Tensor

WORDS = 1000


def ids(seed: int, batch: int, longer: bool, *, length: int = 24) -> Tensor:
    """Return random tokens [batch, length], or 8 more."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(5, WORDS, (batch, length + 8 * longer), generator=generator)


def pictures(seed: int, batch: int, longer: bool, *, side: int, larger: int = 0, channels: int = 3) -> Tensor:
    """Return random pictures [batch, 3, side, side]."""
    edge = larger if longer and larger else side
    return torch.randn(batch, channels, edge, edge, generator=torch.Generator().manual_seed(seed))


def named(**makers: Callable[[int, int, bool], Any]) -> Sample:
    """Return a function that makes a dictionary of inputs, one by each function."""
    return lambda seed, batch, longer: {key: make(seed, batch, longer) for key, make in makers.items()}


def noise(*shape: int, longer: tuple[int, ...] = (), scale: float = 1.0) -> Sample:
    """Return a function that makes random numbers [batch, *shape]; `longer` is the shape of longer inputs."""

    def make(seed: int, batch: int, is_longer: bool) -> Tensor:
        size = longer if is_longer and longer else shape
        return scale * torch.randn(batch, *size, generator=torch.Generator().manual_seed(seed))

    return make


def note(kind: str, settings: dict[str, Any]) -> str:
    """Write what was built."""
    return f"{kind}({', '.join(f'{key}={value}' for key, value in settings.items())})"
