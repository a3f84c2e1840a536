"""What an engine is, and the networks that are timed in one at one precision."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gnnrl.errors import ConfigError, ExportError, GnnrlError, choices, first_line
from gnnrl.latency.stopwatch import Call, median_seconds

_REPEATS = 3


@runtime_checkable
class Engine(Protocol):
    """A runtime that networks are timed in; users may write their own."""

    def build(self, model: nn.Module, example_inputs: Any, precision: str) -> Any:
        """Prepare a network, in evaluation mode, for inputs of these shapes.

        Args:
            model: the network, dense or pruned.
            example_inputs: a tensor, a tuple or a dictionary, batch dimension first.
            precision: "fp32", or another one that the user asked for, as in `latency<=5ms@device.py:Engine:int8`.
        """

    def time(self, built: Any) -> float:
        """Return the seconds of one forward pass of what `build` returned; it is asked several times."""


class Runtime(ABC):
    """An engine of this package: it builds a function without arguments, which runs the network once.

    Attributes:
        name: its name in limits.
        precisions: the precisions that it computes in.
        extra: the extra of this package that installs it, "" if PyTorch brings it.
    """

    name: str
    precisions: tuple[str, ...] = ("fp32",)
    extra = ""

    @property
    def version(self) -> str:
        """Its name and version, such as "onnxruntime 1.31.1"; raises ConfigError if it is not installed."""
        return f"torch {torch.__version__}"

    @abstractmethod
    def build(self, model: nn.Module, example_inputs: Any, precision: str = "fp32") -> Call:
        """Return a function that runs the network once, with as many threads as PyTorch uses now."""

    def time(self, built: Call) -> float:
        """Return the median seconds of a few calls."""
        return float(median_seconds([lambda: built], rounds=1, repeats=_REPEATS)[0])


@dataclass(frozen=True, slots=True)
class Target:
    """An engine at one precision: where the network will run.

    Attributes:
        name: the name of the engine in the limit.
        precision: "fp32", "bf16" or "int8"; for an engine of the user any text.
    """

    name: str
    engine: Engine
    precision: str = "fp32"

    def __post_init__(self) -> None:
        known = getattr(self.engine, "precisions", (self.precision,))
        if self.precision not in known:
            raise ConfigError(f"{self.name} has no precision {self.precision!r}; {choices(self.precision, known)}")

    def __str__(self) -> str:
        return self.name if self.precision == "fp32" else f"{self.name}:{self.precision}"

    @property
    def reference(self) -> str:
        """The precision of the dense network that shares refer to."""
        return "fp32" if isinstance(self.engine, Runtime) else self.precision

    @property
    def version(self) -> str:
        """The engine's name and version, as far as it tells them."""
        return str(getattr(self.engine, "version", self.name))

    def describe(self, example_inputs: Any) -> str:
        """Say what a time was measured in: engine, version, precision, threads of PyTorch and size of the batch."""
        shapes = [leaf.shape for leaf in tree_leaves(example_inputs) if isinstance(leaf, Tensor) and leaf.ndim]
        threads = torch.get_num_threads()
        of = f"{threads} thread{'s' if threads > 1 else ''}, a batch of {shapes[0][0] if shapes else 1}"
        return f"{self.version}, {self.precision}, {of}"

    def build(self, model: nn.Module, example_inputs: Any) -> Any:
        """Build a network; an error that the engine raises is chained in one of this package."""
        try:
            return self.engine.build(model, example_inputs, self.precision)
        except GnnrlError:
            raise
        except Exception as error:
            raise ExportError(f"{self} cannot run {type(model).__name__}: {_told(error)}") from error

    def time(self, built: Any) -> float:
        """Return the seconds of one pass; raise ExportError if the engine fails or returns no time."""
        try:
            seconds = self.engine.time(built)
        except GnnrlError:
            raise
        except Exception as error:
            raise ExportError(f"{self} built the network, but cannot run it: {_told(error)}") from error
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
            raise ExportError(f"{self} must return seconds above 0 from time(), got {seconds!r}")
        return float(seconds)


def time_in_turns(targets: Sequence[Target], built: Sequence[Any], rounds: int) -> NDArray[np.float64]:
    """Return the median seconds of networks, each built for its target; they take turns."""
    times = [[target.time(each) for target, each in zip(targets, built, strict=True)] for _ in range(rounds)]
    return np.asarray(np.median(times, 0))


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"
