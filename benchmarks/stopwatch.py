"""How long the calls of a function take that other code makes."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any


@contextmanager
def timed(owner: Any, name: str) -> Iterator[list[float]]:
    """Collect the seconds of each call of `owner.name`, a function of a module or a method of a class."""
    seconds = list[float]()
    original = getattr(owner, name)

    def call(*arguments: Any, **settings: Any) -> Any:
        start = perf_counter()
        try:
            return original(*arguments, **settings)
        finally:
            seconds.append(perf_counter() - start)

    setattr(owner, name, call)
    try:
        yield seconds
    finally:
        setattr(owner, name, original)
