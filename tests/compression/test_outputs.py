"""Outputs that count in a compression: hidden states neither freeze a stream nor take part in a score."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gnnrl
from gnnrl.compression.study import Study
from gnnrl.errors import ConfigError
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.plan import Plan


class Encoder(nn.Module):
    """Returns the hidden states next to the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.up, self.down = nn.Linear(8, 12), nn.Linear(12, 24), nn.Linear(24, 12)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.embed(x)
        hidden = x + self.down(self.up(x).relu())
        return {"hidden": hidden, "logits": self.head(hidden)}


INPUTS = torch.randn(2, 8)


def batches() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(64, 8, generator=generator), torch.randint(0, 5, (64,), generator=generator))]


def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder().eval()


def compressed(**settings: Any) -> gnnrl.CompressionResult:
    data: dict[str, Any] = {"evaluate": batches(), "calibration": batches(), "test": batches()}
    search = {"searcher": "random-prior", "episodes": 2}
    return gnnrl.compress(encoder(), INPUTS, "macs<=20%", **data | search | settings)


@pytest.mark.parametrize("outputs", [["logits"], "logits", [1], lambda result: result["logits"]])
def test_batches_score_the_output_that_counts(outputs: Any) -> None:
    result = compressed(outputs=outputs)

    assert result.model.embed.out_features < 12
    assert result.model(INPUTS)["logits"].shape == (2, 5)


def test_a_traced_network_brings_its_outputs() -> None:
    result = compressed(network=trace(encoder(), INPUTS, outputs=["logits"]))

    assert result.model.embed.out_features < 12


def test_outputs_belong_to_the_trace_or_to_the_call_but_not_to_both() -> None:
    network = trace(encoder(), INPUTS, outputs=["logits"])

    with pytest.raises(ConfigError, match=r"gnnrl\.trace"):
        compressed(network=network, outputs=["logits"])
    with pytest.raises(ConfigError, match=r"gnnrl\.trace"):
        gnnrl.prune(encoder(), INPUTS, Plan.uniform(network, "macs<=50%"), network=network, outputs=["logits"])


def test_without_a_choice_batches_cannot_score_several_outputs() -> None:
    with pytest.raises(gnnrl.GnnrlError, match="outputs="):
        compressed()


def test_a_run_is_resumed_with_its_outputs_alone(tmp_path: Path) -> None:
    first = compressed(outputs=["logits"], run=tmp_path / "run")

    again = compressed(outputs=["logits"], run=tmp_path / "run")
    assert again.plan == first.plan
    with pytest.raises(ConfigError, match="outputs"):
        gnnrl.compress(
            encoder(), INPUTS, "macs<=80%", evaluate=lambda model: 0.0, calibration=batches(), run=tmp_path / "run"
        )


def test_pruning_compares_and_repairs_by_the_output_that_counts() -> None:
    model = encoder()
    plan = Plan.uniform(trace(model, INPUTS, outputs=["logits"]), "macs<=50%")

    small = gnnrl.prune(model, INPUTS, plan, outputs=["logits"], calibration=batches())

    assert small(INPUTS)["hidden"].shape[1] < 12
    assert small(INPUTS)["logits"].shape == (2, 5)
    assert not [name for name in vars(model) if "outputs" in name]


def test_held_out_outputs_are_those_that_count() -> None:
    study = Study(encoder(), INPUTS, outputs=["logits"], evaluate=batches(), calibration=batches())

    (held,) = study.evidence.record.outputs  # type: ignore[union-attr]
    assert held.shape == (16, 5)


def test_sweeps_and_comparisons_take_outputs() -> None:
    data: Any = {"evaluate": batches(), "calibration": batches(), "outputs": ["logits"], "episodes": 2}

    (result,) = gnnrl.sweep(encoder(), INPUTS, ["macs<=20%"], searcher="random-prior", **data)
    comparison = gnnrl.compare(encoder(), INPUTS, "macs<=20%", searchers=["uniform"], seeds=[0], **data)

    assert result.model.embed.out_features < 12
    assert np.isfinite([run.scores for run in comparison.runs]).all()
