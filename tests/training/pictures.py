"""A fine-tuning of a small network that can be interrupted after any step."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import TensorDataset

from gnnrl.training import FinetuneResult, finetune

EPOCHS = 4


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(8 * 36, 5)
    )


def pictures(count: int = 48, seed: int = 1) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 5
    return TensorDataset(torch.randn(count, 3, 8, 8, generator=generator) + labels[:, None, None, None], labels)


def tuned(folder: Path | None = None, stop: int | None = None, **settings: Any) -> tuple[nn.Module, FinetuneResult]:
    """Train from the same start; `stop` is the step after which the process is interrupted."""

    def count(done: int, total: int, loss: float) -> None:
        if done == stop:
            raise KeyboardInterrupt

    model = settings.pop("model", None) or network()
    data = settings.pop("data", None) or pictures()
    given = {"epochs": EPOCHS, "learning_rate": 0.1, "batch_size": 8, "seed": 3} | settings
    return model, finetune(model, data, snapshots=folder, on_progress=count, **given)


def weights(model: nn.Module) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}
