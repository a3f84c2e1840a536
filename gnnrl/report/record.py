"""The data of a report: everything that the page, the card and a notebook show, and nothing that they compute.

A record is saved with a result as `history.json`, so that a report can be made again. It is read from a file
that anybody may have written: sizes and types are checked, and nothing in it is trusted to be free of markup.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gnnrl.artifacts import bundle
from gnnrl.errors import ArtifactError
from gnnrl.report.blocks import Run
from gnnrl.report.limits import Asked
from gnnrl.storage.layout import HISTORY

FORMAT: Literal[1] = 1


class Part(BaseModel):
    """A part of a record: unknown fields are left out, the others are checked."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")


class Change(Part):
    """One quantity of the dense and of the pruned network."""

    dense: int | float
    pruned: int | float

    @property
    def ratio(self) -> float:
        """The pruned one as a share of the dense one."""
        return self.pruned / self.dense if self.dense else 1.0


class Width(Part):
    """A group: its channels in the dense and in the pruned network, and the rule that left it whole, if any.

    Attributes:
        sensitivity: logarithm of what the outputs lose if the group alone is narrowed, over what its error curve
            promises, about the mean of all groups; None if it was not measured.
    """

    name: str
    kind: str = "channels"
    dense: int = Field(ge=1)
    pruned: int = Field(ge=1)
    rule: str = ""
    sensitivity: float | None = None


class Judged(Part):
    """One plan of the search: widths of all groups, score (higher is better) and seconds."""

    score: float
    seconds: float
    widths: tuple[int, ...]


class Obstacle(Part):
    """A line of code that keeps channels, and what can be done; older records do not name the kind."""

    kind: str = ""
    reason: str
    remedy: str
    location: str
    macs_share: float
    groups: tuple[str, ...]


class Classes(Part):
    """Accuracy of each class on the test images, before and after: shares in [0, 1]."""

    names: tuple[str, ...]
    images: tuple[Annotated[int, Field(ge=0)], ...]
    dense: tuple[float, ...]
    final: tuple[float, ...]

    @property
    def worst(self) -> tuple[float, str]:
        """The largest loss of a class, and its name."""
        rows = zip(self.dense, self.final, self.names, strict=True)
        return max(((before - after, name) for before, after, name in rows), default=(0.0, ""))


class Record(Part):
    """A finished compression.

    Attributes:
        limits: each limit of the constraint with its cost; older records do not have them.
        score: by stage (dense, pruned, repaired, finetuned), on test images, or by the reward where there are none.
        kept: stage of the network that was saved, the last one if it is empty.
        doubt: why the scores say little, empty if there is no such reason.
        unrepaired: weights of layers that were not repaired, because held-out calibration images spoke against it.
        unsolved: weights that read channels which are gone, but that the repair cannot solve.
        metric: "top1" where scores are shares of images recognised, else "score".
        reward: what the search judged by: "top1", "loss" or "score".
        commands: what to do next, one argument list each.
    """

    format: Literal[1] = FORMAT
    model: str
    network_class: str = ""
    data: str = ""
    constraint: str
    limits: tuple[Asked, ...] = ()
    searcher: str
    score: dict[str, float]
    kept: str = ""
    doubt: str = ""
    unrepaired: tuple[str, ...] = ()
    unsolved: tuple[str, ...] = ()
    metric: str = "score"
    reward: str = "score"
    test_images: int | None = Field(default=None, ge=0)
    macs: Change
    params: Change
    file_bytes: Change
    latency_ms: Change | None = None
    images_per_second: Change | None = None
    threads: int | None = None
    widths: tuple[Width, ...]
    runs: tuple[Run, ...]
    obstacles: tuple[Obstacle, ...] = ()
    frozen_macs_share: float = 0.0
    unrun: tuple[str, ...] = ()
    trials: tuple[Judged, ...]
    classes: Classes | None = None
    verified_difference: float | None = None
    stage_seconds: dict[str, float] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    commands: tuple[tuple[str, ...], ...] = ()

    @property
    def stages(self) -> list[str]:
        """Stages that have a score, in their order."""
        return [name for name in ("dense", "pruned", "repaired", "finetuned") if name in self.score]

    @property
    def judged_images(self) -> int:
        """Test images whose share that was recognised is the score; 0 if the score is not such a share."""
        return self.test_images or 0 if self.metric == "top1" else 0

    @property
    def final(self) -> float:
        """Score of the network that was saved."""
        return self.score[self.saved]

    @property
    def saved(self) -> str:
        """Stage of the network that was saved."""
        return self.kept if self.kept in self.score else self.stages[-1]


def finetuned(record: Record, score: float, classes: Mapping[str, Any]) -> Record:
    """Return the record of a result that was trained further to a score, from classes before to classes now."""
    now = Classes.model_validate(classes)
    if record.classes is not None and record.classes.names == now.names:
        now = now.model_copy(update={"dense": record.classes.dense})
    return record.model_copy(update={"score": {**record.score, "finetuned": score}, "kept": "", "classes": now})


def write_record(record: Record) -> str:
    """Return the text of `history.json`."""
    return record.model_dump_json(exclude_defaults=True)


def read_record(directory: str | Path) -> Record:
    """Read the record of a saved result; raise ArtifactError if there is none, or a damaged one."""
    folder = Path(directory)
    manifest = bundle.read_manifest(folder)
    if HISTORY not in manifest["sha256"] or not (folder / HISTORY).is_file():
        raise ArtifactError(f"{folder} has no {HISTORY}: there is nothing to make a report of")
    try:
        return Record.model_validate(json.loads((folder / HISTORY).read_bytes()) | {"format": FORMAT})
    except (ValidationError, ValueError, TypeError, RecursionError) as error:
        raise ArtifactError(f"{folder / HISTORY} is not a record of a compression: {error}") from error
