"""The time limit of a trace, which is checked in every step: before each call of torch, and before each probe."""

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from gnnrl.errors import TraceError


class Deadline(TorchFunctionMode):
    """A mode in which each call of torch raises an error if the time is over.

    Attributes:
        step: what is done now, as a part of a sentence.
    """

    def __init__(self, seconds: float, name: str) -> None:
        super().__init__()
        self.step = "the network ran on the example inputs"
        self._end, self._seconds, self._name = monotonic() + seconds, seconds, name

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run a call if there is time left. Dynamo, which reads the branches of torch.cond, cannot read a clock."""
        if not torch.compiler.is_dynamo_compiling():
            self.check()
        return func(*args, **(kwargs or {}))

    def check(self) -> None:
        """Raise TraceError if the time is over."""
        if monotonic() > self._end:
            raise self._over(f"it was over while {self.step}")

    def check_probe(self, failing: Sequence[str]) -> None:
        """Raise TraceError if the time is over and narrower copies of the network still fail in these modules."""
        if failing and monotonic() > self._end:
            where = failing[-1] or "the network itself"
            raise self._over(
                f"narrower copies of it still fail in {where}. Let that module take its sizes from its inputs"
            )

    def _over(self, found: str) -> TraceError:
        return TraceError(
            f"tracing {self._name} takes more than {self._seconds:g} s: {found}; or give more time "
            "(gnnrl.trace(..., trace_seconds=600)) and pass the result as network="
        )
