"""Measured times by the name of the measured object; a resumed run takes its times from here, not from the clock.

A second measurement gives other times. With them the model of latency, and so the search, would change.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from gnnrl.errors import ArtifactError


@dataclass(frozen=True, slots=True)
class Measured:
    """Name of the measured layers or plans, equal for equal ones, and the time of each."""

    of: str
    seconds: tuple[float, ...]


@dataclass(slots=True)
class Ledger:
    """Known times, and new times when they are measured.

    Attributes:
        measured: all measurements; at first those of earlier sessions, in their order.
        keep: function that is called with each new measurement.
    """

    measured: list[Measured] = field(default_factory=list)
    keep: Callable[[Measured], None] = lambda measured: None
    _asked: Counter[str] = field(default_factory=Counter, init=False)

    def seconds(self, of: str, count: int, measure: Callable[[], NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return times [count] under a name: the known ones, each once, then measured ones.

        Raises:
            ArtifactError: the number of known times is not `count`.
        """
        known = [entry for entry in self.measured if entry.of == of]
        place = self._asked[of]
        self._asked[of] += 1
        if place < len(known):
            if len(known[place].seconds) != count:
                raise ArtifactError(f"{len(known[place].seconds)} times are known for {count} measurements ({of})")
            return np.array(known[place].seconds)
        found = Measured(of, tuple(map(float, measure())))
        self.measured.append(found)
        self.keep(found)
        return np.array(found.seconds)


def name_of(kind: str, things: object) -> str:
    """Return a short name of the measured things; equal for things with the same representation."""
    return f"{kind} {sha256(repr(things).encode()).hexdigest()[:16]}"
