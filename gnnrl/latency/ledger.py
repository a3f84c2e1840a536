"""What was timed, under the name of what it was: a run that goes on takes its times from here, not from the clock.

A layer that is timed again takes another time, and a search under another model of the latency is another search.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from gnnrl.errors import ArtifactError


@dataclass(frozen=True, slots=True)
class Measured:
    """Times that belong together.

    Attributes:
        of: what was timed; equal for equal layers, and for equal plans.
        seconds: a time for each of them.
    """

    of: str
    seconds: tuple[float, ...]


class Ledger:
    """Times that are known, and those that are measured from here on.

    Args:
        known: those of earlier processes, in their order.
        keep: called with each new one.

    Attributes:
        measured: all of them.
    """

    def __init__(
        self, known: Iterable[Measured] = (), keep: Callable[[Measured], None] = lambda measured: None
    ) -> None:
        self.measured = list(known)
        self._keep = keep
        self._asked = Counter[str]()

    def seconds(self, of: str, count: int, measure: Callable[[], NDArray[np.float64]]) -> NDArray[np.float64]:
        """Times [count] of something: known ones, each once, then measured ones.

        Raises:
            ArtifactError: there are more or fewer known times than things.
        """
        known = [entry for entry in self.measured if entry.of == of]
        place = self._asked[of]
        self._asked[of] += 1
        if place < len(known):
            if len(known[place].seconds) != count:
                raise ArtifactError(f"{len(known[place].seconds)} times are known of {count} measurements ({of})")
            return np.array(known[place].seconds)
        found = Measured(of, tuple(map(float, measure())))
        self.measured.append(found)
        self._keep(found)
        return np.array(found.seconds)


def name_of(kind: str, things: object) -> str:
    """What was timed, as a short text: equal for things of one representation."""
    return f"{kind} {sha256(repr(things).encode()).hexdigest()[:16]}"
