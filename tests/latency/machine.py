"""A machine whose time is its multiply-accumulates: latency that can be predicted exactly, and a clock to match."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from gnnrl.latency.stopwatch import Clock

SECONDS_PER_MAC = 1e-6


@contextmanager
def counting_clock(overhead: float = 0.0) -> Iterator[Clock]:
    """A clock that goes on by a microsecond for each multiply-accumulate, and by an overhead each time it is read."""
    reads = 0
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:

        def clock() -> float:
            nonlocal reads
            reads += 1
            return SECONDS_PER_MAC * counter.get_total_flops() / 2 + overhead * reads

        yield clock
