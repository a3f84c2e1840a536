"""A trace ends when its time is over, and says in which step it was."""

import time

import pytest
import torch
from torch import Tensor, nn

from gnnrl.errors import TraceError
from gnnrl.network.tracing.deadline import Deadline
from gnnrl.network.tracing.tracer import trace


class Slow(nn.Module):
    """Takes its time when it is run with data, or when it is exported."""

    def __init__(self, slow_export: bool) -> None:
        super().__init__()
        self.layer, self.slow_export = nn.Linear(4, 4), slow_export

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(100):
            if torch.compiler.is_exporting() == self.slow_export:
                time.sleep(0.05)
            x = self.layer(x)
        return x


@pytest.mark.parametrize(
    ("slow_export", "step"),
    [(False, "the network ran on the example inputs"), (True, "torch.export wrote its program")],
)
def test_a_trace_ends_within_the_step_that_takes_too_long(slow_export: bool, step: str) -> None:
    start = time.monotonic()

    with pytest.raises(TraceError, match=f"tracing Slow takes more than 0.3 s: it was over while {step}"):
        trace(Slow(slow_export).eval(), torch.randn(2, 4), trace_seconds=0.3)
    assert time.monotonic() - start < 4


def test_a_deadline_that_is_not_over_changes_nothing() -> None:
    deadline = Deadline(1000, "Net")

    with deadline:
        assert torch.equal(torch.ones(2) + 1, torch.full((2,), 2.0))
    deadline.check()
    deadline.check_probe(["layer"])


def test_probes_that_succeed_are_not_stopped() -> None:
    deadline = Deadline(-1, "Net")

    deadline.check_probe([])
    with pytest.raises(TraceError, match=r"still fail in layer\. Let that module"):
        deadline.check_probe(["layer"])
    with pytest.raises(TraceError, match="it was over while"):
        deadline.check()
