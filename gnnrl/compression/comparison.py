"""Comparisons of searchers as data: their runs, a row for each searcher, and the file that holds them."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gnnrl.errors import ArtifactError
from gnnrl.storage.files import write_whole
from gnnrl.storage.formats import check_format, stamp

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Run:
    """One searcher with one seed.

    Attributes:
        scores: reward of each evaluation, in order.
        seconds: wall time from the start of the search to the end of each evaluation.
        widths: the best plan.
        test: score of the best plan by the test function, read after all runs; None as long as it was not.
    """

    searcher: str
    seed: int
    scores: tuple[float, ...]
    seconds: tuple[float, ...]
    widths: tuple[int, ...]
    test: float | None = None

    @property
    def best_so_far(self) -> tuple[float, ...]:
        """Best reward after each evaluation."""
        return tuple(np.maximum.accumulate(self.scores).tolist())


@dataclass(frozen=True, slots=True)
class Row:
    """One searcher over all its seeds; a spread is the distance from the lowest to the highest.

    Attributes:
        evaluations: median number of evaluations.
        reward: median of the best rewards.
        test: median of the best plans' test scores; None if they are not measured.
        seconds: median.
    """

    searcher: str
    seeds: int
    evaluations: int
    reward: float
    reward_spread: float
    test: float | None
    test_spread: float | None
    seconds: float


@dataclass(slots=True)
class Comparison:
    """Runs of several searchers on one network.

    Attributes:
        settings: settings that must be equal in all runs.
        dense: reward of the dense network, and its test score once it is measured.
        planned: (searcher, seed) of all requested runs.
    """

    settings: dict[str, Any]
    dense: dict[str, float]
    planned: tuple[tuple[str, int], ...]
    runs: list[Run] = field(default_factory=list)

    @property
    def missing(self) -> list[tuple[str, int]]:
        """Requested runs that are missing."""
        done = {(found.searcher, found.seed) for found in self.runs}
        return [pair for pair in self.planned if pair not in done]

    def rows(self) -> list[Row]:
        """Return one row for each searcher, in the order of the request."""
        names = dict.fromkeys(name for name, _ in self.planned)
        chosen = [[found for found in self.runs if found.searcher == name] for name in names]
        return [_row(runs) for runs in chosen if runs]

    def save(self, path: str | Path) -> None:
        """Write the comparison; a reader never sees half of it."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, (json.dumps({**stamp(FORMAT), **asdict(self)}, indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: str | Path) -> "Comparison":
        """Read a comparison that `save` wrote; raise ArtifactError if the file is not one."""
        try:
            document = json.loads(Path(path).read_text())
            check_format(path, document, FORMAT)
            names = ("scores", "seconds", "widths")
            runs = [Run(**{**entry, **{name: tuple(entry[name]) for name in names}}) for entry in document["runs"]]
            planned = tuple((str(name), int(seed)) for name, seed in document["planned"])
            return cls(document["settings"], document["dense"], planned, runs)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{path} is not a saved comparison: {type(error).__name__} {error}") from error


def _row(runs: Sequence[Run]) -> Row:
    rewards = [max(found.scores) for found in runs]
    tests = [found.test for found in runs if found.test is not None]
    return Row(
        runs[0].searcher,
        len(runs),
        round(statistics.median(len(found.scores) for found in runs)),
        statistics.median(rewards),
        max(rewards) - min(rewards),
        statistics.median(tests) if tests else None,
        max(tests) - min(tests) if tests else None,
        statistics.median(found.seconds[-1] for found in runs),
    )
