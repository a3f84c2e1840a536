"""The result of a compression: the small network and what is known of it, and the record that its report is made of."""

import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import nn

from gnnrl.artifacts import bundle
from gnnrl.artifacts.exported import Export
from gnnrl.artifacts.formats import export
from gnnrl.latency.agreement import LatencyCheck
from gnnrl.network.cost import Cost
from gnnrl.network.limits import Constraint
from gnnrl.network.obstacles import find_obstacles, show_location
from gnnrl.network.structure import Network
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.verification import Verification
from gnnrl.report.blocks import find_runs
from gnnrl.report.card import write_documents
from gnnrl.report.limits import Asked
from gnnrl.report.notebook import show_result, tell_result
from gnnrl.report.record import Record
from gnnrl.scoring.classes import Change
from gnnrl.scoring.plans import Seconds, Trial

_COUNTED = ("macs", "params", "bytes", "activations")


class Settings(TypedDict):
    """The settings of a search that a result records."""

    constraint: str
    searcher: str
    episodes: int
    importance: str
    repair: str
    seed: int


@dataclass(frozen=True, slots=True, repr=False)
class CompressionResult:
    """The result of a compression.

    Attributes:
        model: the small network, of the user's own class.
        plan: widths and kept units.
        score: `dense`, `pruned` (nothing repaired), `repaired` and, after fine-tuning, `finetuned`, by the test
            function if there is one, else by the reward.
        reward: the reward of the plan: the best of the search, unless a limit on latency required another plan.
        history: all scored plans.
        cost: sizes of the `dense` and the `pruned` network.
        seconds, search_seconds: time of each stage, and of each kind of work in the search.
        classes: accuracy of each class before and after, if `test` gives images.
        latency: measured latency of the small network, if latency is limited.
        doubt: why the scores say little, such as a network that only guesses; empty if there is no such reason.
        kept: stage of `model`: "finetuned", or "repaired" without fine-tuning or if that ruined the network.
        unrepaired: weights of layers that were not repaired, because that made them worse on held-out calibration
            images.
        unsolved: weights that read channels which are gone, but that the repair cannot solve.
        sensitivity: of each group, the logarithm of what the outputs lose if it alone is narrowed, over what its error
            curve promises, about the mean of all groups; None if it was not measured.
    """

    model: nn.Module
    plan: Plan
    network: Network
    score: dict[str, float]
    reward: float
    history: tuple[Trial, ...]
    cost: dict[str, Cost]
    verification: Verification
    seconds: dict[str, float]
    search_seconds: Seconds
    settings: Settings
    classes: Change | None = None
    latency: LatencyCheck | None = None
    kept: str = "repaired"
    doubt: str = ""
    unrepaired: tuple[str, ...] = ()
    unsolved: tuple[str, ...] = ()
    sensitivity: tuple[float | None, ...] = ()

    def __repr__(self) -> str:
        return tell_result(self.record())

    @property
    def limits(self) -> tuple[Asked, ...]:
        """Each limit that was asked for, with the cost of both networks; latency as it was measured."""
        return tuple(self._asked(limit) for limit in Constraint.parse(self.settings["constraint"]))

    def _asked(self, limit: Constraint) -> Asked:
        if limit.metric == "latency" and self.latency is not None:
            timed = self.latency
            return Asked(str(limit), timed.limit_ms, timed.dense_ms, timed.pruned_ms)
        dense, pruned = (float(getattr(self.cost[name], limit.metric) or 0) for name in ("dense", "pruned"))
        return Asked(str(limit), dense * limit.limit / 100 if limit.relative else limit.limit, dense, pruned)

    def facts(self) -> Mapping[str, object]:
        """Return the facts for the manifest of a saved result."""
        return {
            "constraint": self.settings["constraint"],
            "limits": [asdict(asked) for asked in self.limits],
            "score": self.score,
            "kept": self.kept,
            "unrepaired": self.unrepaired,
            "unsolved": self.unsolved,
            "macs": {name: cost.macs for name, cost in self.cost.items()},
            "params": {name: cost.params for name, cost in self.cost.items()},
            **({} if self.latency is None else {"latency": self.latency.facts()}),
            "evaluations": len(self.history),
            "dense": bundle.narrowed(self.model, self.network.shapes),
            "attributes": self.network.stated(self.network.alive(self.plan.kept or ())),
            "settings": self.settings,
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
        }

    def record(self, about: Mapping[str, Any] | None = None) -> Record:
        """Return the record, of which report and model card are made.

        Args:
            about: further facts, by the names of the fields of `gnnrl.report.record.Record`, such as
                {"model": "resnet20 on CIFAR-10", "data": "cifar10"}.
        """
        return record_of(self, about or {})

    def save(
        self,
        directory: str | Path,
        *,
        about: Mapping[str, Any] | None = None,
        source: Mapping[str, str] | None = None,
        records: Iterable[Path] = (),
        force: bool = False,
    ) -> Path:
        """Write the small network, its report and its model card; `gnnrl.load(fresh_model, directory)` reads it back.

        Args:
            about: see `record`.
            source: `model`, `input_shape`, `mean`, `std` and `data` as options of `gnnrl`, whose commands on the
                result take them from there.
            records: files of the run that made it, to keep with it.

        Raises:
            ConfigError: the directory is there and not empty.
        """
        documents = write_documents(self.record(about), str(directory))
        facts = {**self.facts(), **({} if source is None else {"source": dict(source)})}
        return bundle.save(directory, self.model, self.plan, facts, documents=documents, records=records, force=force)

    def _repr_html_(self) -> str:
        return show_result(self.record())

    def export(
        self, path: str | Path, example_inputs: Any = None, *, dense: nn.Module | None = None, **settings: Any
    ) -> Export:
        """Write the small network for others: ONNX (.onnx), torch.export (.pt2), or a patch of widths (.py).

        Args:
            example_inputs: inputs as for `compress`, needed for .onnx and .pt2.
            dense: the dense network, or another instance of its class, needed for .py.
            settings: `form`, `dynamic_batch`, `opset` and `force`, see `gnnrl.artifacts.formats.export`.
        """
        return export(self.model, path, example_inputs=example_inputs, dense=dense, **settings)


def record_of(result: CompressionResult, about: Mapping[str, Any]) -> Record:
    """Collect the record of a result; further facts, by the names of its fields, override the result's own."""
    network, cost = result.network, result.cost
    rules = {group: rule for rule, groups in about.get("rules", {}).get("fixed", {}).items() for group in groups}
    known = {
        "model": network.model_class,
        "network_class": network.model_class,
        "searcher": result.settings["searcher"],
        "doubt": result.doubt,
        "metric": "score" if result.classes is None else "top1",
        "test_images": None if result.classes is None else sum(result.classes["images"]),
        "file_bytes": {stage: size.bytes for stage, size in cost.items()},
        "widths": [
            {"name": group.name, "kind": group.kind, "dense": group.size, "pruned": width}
            | {"rule": rules.get(group.name, ""), "sensitivity": felt}
            for group, width, felt in zip(network.groups, result.plan.widths, result.sensitivity, strict=True)
        ],
        "runs": find_runs(network, result.plan),
        "obstacles": [
            {**asdict(found), "location": show_location(found.location, [str(Path.cwd())])}
            for found in find_obstacles(network)
        ],
        "frozen_macs_share": sum(group.macs_share for group in network.frozen),
        "unrun": network.unrun,
        "trials": [asdict(trial) for trial in result.history],
        "classes": result.classes,
        "verified_difference": result.verification.difference,
        "stage_seconds": result.seconds,
    }
    return Record.model_validate({**result.facts(), **known, **about})


def point(result: CompressionResult) -> Mapping[str, object]:
    """Return one point of the curve of a sweep as JSON values: limit, size as a share of the dense network, and scores.

    `size` is the share of the metric that is limited first; `shares` has all metrics, and measured latency if limited.
    """
    constraint, dense, pruned = result.settings["constraint"], result.cost["dense"], result.cost["pruned"]
    metric = Constraint.parse(constraint)[0].metric
    shares = {name: getattr(pruned, name) / max(getattr(dense, name), 1) for name in _COUNTED}
    if result.latency is not None:
        shares["latency"] = result.latency.pruned_ms / result.latency.dense_ms
    return {
        "constraint": constraint,
        "metric": metric,
        "size": round(shares[metric], 4),
        "shares": {name: round(share, 4) for name, share in shares.items()},
        "macs": pruned.macs,
        "params": pruned.params,
        "reward": result.reward,
        "score": dict(result.score),
        "kept": result.kept,
        "evaluations": len(result.history),
    }
