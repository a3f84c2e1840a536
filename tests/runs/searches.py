"""Searches with a run directory that can be interrupted anywhere."""

from pathlib import Path
from typing import Any

from torch import nn

import gnnrl
from tests.compression.tiny import compressed, near
from tests.topologies import topology, traced

EPISODES = 10


def model() -> nn.Module:
    return topology("residual").model


def counting(stop: int | None = None, error: type[BaseException] = KeyboardInterrupt) -> tuple[Any, list[int]]:
    """A reward and its calls; the call of this number fails. The first call is for the dense network."""
    judge, calls = near(model()), list[int]()

    def evaluate(network: nn.Module) -> float:
        calls.append(len(calls))
        if calls[-1] == stop:
            raise error("told to")
        return float(judge(network))

    return evaluate, calls


def search(run: Path | None = None, *, stop: int | None = None, **settings: Any) -> gnnrl.CompressionResult:
    evaluate = settings.pop("evaluate", None) or counting(stop, settings.pop("error", KeyboardInterrupt))[0]
    return compressed(
        **{
            "evaluate": evaluate,
            "searcher": "evolution",
            "episodes": EPISODES,
            "run": run,
            "network": traced("residual").network,
            **settings,
        }
    )


def outcome(result: gnnrl.CompressionResult) -> Any:
    trials = [(trial.number, trial.widths, trial.score, trial.macs) for trial in result.history]
    weights = {name: value.numpy().tobytes() for name, value in result.model.state_dict().items()}
    return trials, result.plan, result.reward, result.score, weights
