"""Measurements of a dense network before a search: calibration, error curves and score."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from gnnrl.compression.goal import Goal
from gnnrl.compression.observer import Clock
from gnnrl.compression.result import Settings
from gnnrl.compression.search import Search
from gnnrl.errors import ConfigError, GnnrlWarning
from gnnrl.modules.copies import copy_network
from gnnrl.network.labels import Component
from gnnrl.network.structure import Network
from gnnrl.pruning.calibration.dense import Calibration, calibrate
from gnnrl.pruning.curves import Curve, error_curves
from gnnrl.pruning.importance import CRITERIA
from gnnrl.pruning.importance import importance as score_units
from gnnrl.pruning.output_weights import weighted_curves
from gnnrl.pruning.plan import Scores, removal_orders
from gnnrl.pruning.reconstruction import find_repair
from gnnrl.scoring.adapters import as_tally, is_top1
from gnnrl.scoring.chance import doubt_of
from gnnrl.scoring.plans import Evaluate, score_network


@dataclass(frozen=True, slots=True)
class Criteria:
    """The criterion that ranks units, and the repair of pruned networks.

    Attributes:
        importance: criterion that ranks units: "curves", "l1", "l2", "bn_scale", "taylor" or "random".
        repair: "ls" (least squares and batch normalisation), "bn" or "none".
        calibration_images: number of calibration images.
        seed: seed of the criterion "random".
    """

    importance: str = "curves"
    repair: str = "ls"
    calibration_images: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        known = ("curves", *CRITERIA)
        if self.importance not in known:
            raise ConfigError(f"unknown importance criterion {self.importance!r}; choose one of {', '.join(known)}")
        find_repair(self.repair)

    @property
    def facts(self) -> Mapping[str, object]:
        """The criteria that runs and comparisons must share."""
        return {"importance": self.importance, "repair": self.repair, "calibration_images": self.calibration_images}

    def asked(self, goal: Goal, search: Search) -> Settings:
        """Return the settings that a result records."""
        return {
            "constraint": goal.constraint,
            "searcher": search.name,
            "episodes": search.episodes,
            "importance": self.importance,
            "repair": self.repair,
            "seed": search.seed,
        }

    def check(self, calibration: Iterable[Any] | None) -> None:
        """Raise ConfigError if calibration data are needed, but missing."""
        if calibration is None and (self.importance in ("curves", "taylor") or self.repair != "none"):
            raise ConfigError(
                f"importance {self.importance!r} and repair {self.repair!r} need calibration data; give "
                "`calibration` (a few hundred inputs), or choose importance='l2' and repair='none'"
            )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Measurements that all searches of one network share.

    Attributes:
        record: statistics of the dense network on calibration data.
        curves: error curves of the groups.
        scores: importance of the units.
        orders: removal order of each group's units.
        dense: score of the dense network.
        doubt: why scores say little, empty if there is no such reason.
        model: the dense network.
        repair: name of the repair.
        by_limit: the weighted curves of each limit.
    """

    record: Calibration | None
    curves: list[Curve]
    scores: Scores
    orders: list[Component]
    dense: float
    doubt: str
    model: nn.Module
    repair: str
    by_limit: dict[str, list[Curve]] = field(default_factory=dict)

    def weighted(self, goal: Goal, clock: Clock) -> list[Curve]:
        """Return the error curves, weighted for a limit by what the outputs feel; as they are without calibration."""
        if self.record is None:
            return self.curves
        if goal.constraint not in self.by_limit:
            with clock.timed("weigh"):
                repair = find_repair(self.repair)
                known = (self.model, goal.projection, self.curves, self.orders, self.record, repair)
                self.by_limit[goal.constraint] = weighted_curves(*known, clock.advance)
        return self.by_limit[goal.constraint]

    @classmethod
    def gather(
        cls,
        model: nn.Module,
        network: Network,
        inputs: Any,
        evaluate: Evaluate,
        calibration: Iterable[Any] | None,
        doubt: str | None,
        criteria: Criteria,
        clock: Clock,
    ) -> "Evidence":
        """Calibrate, score the dense network, and compute the error curves."""
        by_curves = criteria.importance == "curves"
        with clock.timed("calibrate"):
            record = None
            if calibration is not None:
                images = criteria.calibration_images
                record = calibrate(model, calibration, images=images, example_inputs=inputs, progress=clock.advance)
            batches = record.batches() if record is not None and criteria.importance == "taylor" else None
            feed = None if record is None else record.feed
            name = "l2" if by_curves else criteria.importance
            scores = score_units(name, model, network, batches, criteria.seed, feed)
            dense, found = _score_and_doubt(evaluate, model) if doubt is None else (_score(evaluate, model), "")
        with clock.timed("curves"):
            curves = error_curves(model, network, record, clock.advance)
        if found:
            warnings.warn(found, GnnrlWarning, stacklevel=4)
        orders = [curve.order for curve in curves] if by_curves else removal_orders(scores)
        return cls(record, curves, scores, orders, dense, doubt or found, model, criteria.repair)


def _score_and_doubt(evaluate: Evaluate, model: nn.Module) -> tuple[float, str]:
    """Return the score of the dense network, and why it says little; a user's own function raises no doubt."""
    tally = as_tally(evaluate)
    if tally is None:
        return _score(evaluate, model), ""
    share = _score(tally, model)
    return share if is_top1(evaluate) else _score(evaluate, model), doubt_of(tally, share)


def _score(evaluate: Evaluate, model: nn.Module) -> float:
    return score_network(evaluate, copy_network(model), "the dense network")
