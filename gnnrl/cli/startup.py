"""What every command that computes does first: load PyTorch, and take no more threads than it was given."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from gnnrl.cli.console import Narrator


def import_engine(narrator: Narrator) -> None:
    """Import what every job needs; it takes seconds."""
    narrator.begin("loading PyTorch")
    import_module("gnnrl.compression.pipeline")


@contextmanager
def limited_threads(threads: int | None) -> Iterator[None]:
    """Compute on so many threads inside; None leaves the choice to PyTorch."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
