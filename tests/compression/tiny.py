"""Compressions of a tiny network by random data."""

from typing import Any

import torch
from torch import Tensor, nn

import gnnrl
from gnnrl.compression.comparison import Comparison
from gnnrl.compression.pipeline import compare, compress, sweep
from tests.topologies import images, topology, traced


def batches(count: int = 2, size: int = 32, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(size, 3, 8, 8, generator=generator), torch.randint(0, 5, (size,), generator=generator))
        for _ in range(count)
    ]


def near(dense: nn.Module) -> Any:
    """A reward: how near the outputs are to those of the dense network."""
    x = batches(1, seed=1)[0][0]
    with torch.no_grad():
        target = dense(x)

    def score(model: nn.Module) -> float:
        with torch.no_grad():
            return -float((model(x) - target).square().mean())

    return score


def compressed(**settings: Any) -> gnnrl.CompressionResult:
    model = settings.pop("model", None) or topology("residual").model
    settings.setdefault("evaluate", None)
    settings["evaluate"] = near(model) if settings["evaluate"] is None else settings["evaluate"]
    settings = {"calibration": batches(), "searcher": "curves", "episodes": 4} | settings
    return compress(model, settings.pop("inputs", images()), settings.pop("constraint", "macs<=50%"), **settings)


def params(model: nn.Module) -> float:
    """A reward that knows no chance: more parameters are better."""
    return float(sum(parameter.numel() for parameter in model.parameters()))


def compared(**settings: Any) -> Comparison:
    settings = {
        "evaluate": params,
        "importance": "l2",
        "repair": "none",
        "searchers": ["evolution", "random", "uniform"],
        "seeds": [0, 1],
        "episodes": 6,
    } | settings
    return compare(topology("residual").model, images(), "macs<=50%", **settings)


LIMITS = ["macs<=70%", "macs<=50%", "params<=60%"]


def swept(limits: list[str] = LIMITS, **settings: Any) -> tuple[gnnrl.CompressionResult, ...]:
    model = topology("residual").model
    common = {"evaluate": near(model), "calibration": batches(), "searcher": "random-prior", "episodes": 2}
    return sweep(model, images(), limits, **(common | settings))


CASE = traced("residual")
