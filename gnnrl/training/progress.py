"""A fine-tuning in the middle: all that the next epoch depends on, saved after each epoch and read back.

Weights, momentum, average, best weights so far and random numbers go into a snapshot, so that a training that was
interrupted goes on to the same weights, bit for bit, as one that was not.
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
    """Mean loss of the training samples, as they were when their turn came."""
    top1: float
    """Share of them that was recognised."""
    learning_rate: float
    """Of the last step."""
    seconds: float
    held_out: float | None = None
    """Cross-entropy of the held-out samples after the epoch; None where there are none."""


@dataclass
class Progress:
    """Where a fine-tuning is.

    Attributes:
        model: in training, after the last epoch of the history.
        average: of its weights; None where none is asked for.
        best: the state of the network (or its average) after the best epoch.
        best_loss: loss of that epoch: of the held-out samples, else of the training samples.
        best_number: its number; 0 before the first.
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
        """The weights that count: averaged, or as they are."""
        found: Mapping[str, Tensor] = self.model.state_dict() if self.average is None else self.average.state
        return found

    def buffers(self) -> list[Tensor]:
        """Buffers, such as running statistics, of the network and of its average."""
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
        """Note an epoch, and its weights if they are the best."""
        self.history.append(epoch)
        loss = epoch.loss if epoch.held_out is None else epoch.held_out
        if loss < self.best_loss:
            self.best_loss, self.best_number, self.best = loss, epoch.number, copy_state(self.state)

    def save(self, snapshots: Snapshots, begun: str) -> None:
        """Save everything; `begun` says what the training began with.

        Raises:
            ResourceError: the disk is full or read-only.
        """
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
            "begun": begun,
            "history": [asdict(epoch) for epoch in self.history],
            "best_loss": self.best_loss,
            "best_number": self.best_number,
            "average_steps": 0 if self.average is None else self.average.steps,
        }
        snapshots.save(len(self.history), {name: tensor.clone() for name, tensor in tensors.items()}, facts)

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot.

        Raises:
            ArtifactError: it is none of a training of this network.
        """
        try:
            self._restore(snapshot)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ArtifactError(f"the snapshot does not fit the network: {error}; remove it to begin anew") from error

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
    """Stochastic gradient descent with Nesterov momentum; weight decay spares biases and normalisations."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices, vectors = [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, recipe.learning_rate, momentum=MOMENTUM, nesterov=True)


def beginning(model: nn.Module, recipe: Recipe, steps: int) -> str:
    """A digest of what a training begins with: weights, settings, number of batches."""
    settings = json.dumps([asdict(recipe), steps, digest_of(model)], sort_keys=True)
    return hashlib.sha256(settings.encode()).hexdigest()


def check_beginning(snapshot: Snapshot, begun: str) -> None:
    """Check that a snapshot is of a training that began so.

    Raises:
        ConfigError: it began with other weights or settings.
    """
    if snapshot.facts.get("begun") != begun:
        raise ConfigError(
            "the snapshots are of a fine-tuning that began with other weights or settings; ask for the same, or give "
            "another folder"
        )


def copy_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A copy that training does not change."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of one part, by their own names."""
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
