"""The state of a fine-tuning between two epochs, which is saved in a snapshot and restored.

A snapshot holds weights, momentum, average, best weights so far and random state. So a resumed training gives the same
weights, bit for bit, as an uninterrupted one.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn

from gnnrl.errors import ArtifactError, ConfigError
from gnnrl.storage.fingerprint import digest_of
from gnnrl.storage.snapshots import Snapshot, Snapshots
from gnnrl.training.averaging import Average
from gnnrl.training.recipe import Recipe

MOMENTUM = 0.9


@dataclass(frozen=True)
class Epoch:
    """One pass over the training data; the first has number 1."""

    number: int
    loss: float
    """Mean loss of the training samples, each measured in its own step."""
    top1: float
    """Share of the training samples that were recognised."""
    learning_rate: float
    """Learning rate of the last step."""
    seconds: float
    held_out: float | None = None
    """Cross-entropy of the held-out samples after the epoch; None if there are no such samples."""


@dataclass
class Progress:
    """The state of a fine-tuning.

    Attributes:
        model: the network in training, after the last epoch of the history.
        average: the average of its weights; None if no average is kept.
        best: the state of the network (or its average) after the best epoch.
        best_loss: loss of that epoch on the held-out samples, else on the training samples.
        best_number: number of that epoch; 0 before the first.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: Average | None
    best: dict[str, Tensor]
    best_loss: float = math.inf
    best_number: int = 0
    history: list[Epoch] = field(default_factory=list)

    @property
    def state(self) -> Mapping[str, Tensor]:
        """The averaged weights if an average is kept, else the network's own."""
        found: Mapping[str, Tensor] = self.model.state_dict() if self.average is None else self.average.state
        return found

    def buffers(self) -> list[Tensor]:
        """Return the buffers, such as running statistics, of the network and of its average."""
        averaged: Mapping[str, Tensor] = {} if self.average is None else self.average.state
        names = [name for name, _ in self.model.named_buffers()]
        return [*self.model.buffers(), *(averaged[name] for name in names if name in averaged)]

    def step(self, loss: Tensor, rate: float) -> None:
        """Change the weights along the gradient of a loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.model)

    def close_epoch(self, epoch: Epoch) -> None:
        """Add an epoch to the history; keep its weights if they are the best."""
        self.history.append(epoch)
        loss = epoch.loss if epoch.held_out is None else epoch.held_out
        if loss < self.best_loss:
            self.best_loss, self.best_number, self.best = loss, epoch.number, copy_state(self.state)

    def save(self, snapshots: Snapshots, start: str) -> None:
        """Save the state; `start` is the digest of the training's initial weights and settings, from `beginning`."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for index, entry in self.optimizer.state_dict()["state"].items():
            tensors[f"momentum.{index}"] = entry["momentum_buffer"]
        if self.average is not None:
            tensors |= {f"average.{name}": tensor for name, tensor in self.average.state.items()}
        is_best = self.best_number == len(self.history)
        if not is_best:
            tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        tensors["random"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors |= {f"random.{index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
        facts = {
            "begun": start,
            "history": [asdict(epoch) for epoch in self.history],
            "best_loss": self.best_loss,
            "best_number": self.best_number,
            "average_steps": 0 if self.average is None else self.average.steps,
        }
        snapshots.save(len(self.history), {name: tensor.clone() for name, tensor in tensors.items()}, facts)

    def restore(self, snapshot: Snapshot) -> None:
        """Restore the state of a snapshot; raise ArtifactError if it does not fit this network."""
        try:
            self._restore(snapshot)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ArtifactError(f"the snapshot does not fit the network: {error}; remove it to start again") from error

    def _restore(self, snapshot: Snapshot) -> None:
        tensors, facts = snapshot.tensors, snapshot.facts
        self.model.load_state_dict(_under("model", tensors))
        state = self.optimizer.state_dict()
        momenta = _under("momentum", tensors)
        state["state"] = {int(index): {"momentum_buffer": tensor} for index, tensor in momenta.items()}
        self.optimizer.load_state_dict(state)
        if self.average is not None:
            self.average.restore(_under("average", tensors), int(facts["average_steps"]))
        self.history = [Epoch(**epoch) for epoch in facts["history"]]
        self.best_loss, self.best_number = float(facts["best_loss"]), int(facts["best_number"])
        is_best = self.best_number == len(self.history)
        self.best = copy_state(self.state if is_best else _under("best", tensors))
        torch.set_rng_state(tensors["random"])
        if torch.cuda.is_available():
            torch.cuda.set_rng_state_all([*_under("random", tensors).values()])


def optimizer_of(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return stochastic gradient descent with Nesterov momentum, and no weight decay of biases and normalisations."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices, vectors = [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, recipe.learning_rate, momentum=MOMENTUM, nesterov=True)


def beginning(model: nn.Module, recipe: Recipe, steps: int) -> str:
    """Return a digest of a training's initial weights, its settings and number of batches."""
    settings = json.dumps([asdict(recipe), steps, digest_of(model)], sort_keys=True)
    return hashlib.sha256(settings.encode()).hexdigest()


def check_beginning(snapshot: Snapshot, start: str) -> None:
    """Raise ConfigError if the training of a snapshot started with other weights or settings."""
    if snapshot.facts.get("begun") != start:
        raise ConfigError(
            "the snapshots are of a fine-tuning that started with other weights or settings; give the same ones, or "
            "another folder"
        )


def copy_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a copy that training does not change."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of one part, by their names within the part."""
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
