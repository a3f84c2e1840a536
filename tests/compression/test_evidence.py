"""What is measured of the dense network: criteria, curves, calibration."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from gnnrl.errors import GnnrlWarning
from gnnrl.report.page import render
from gnnrl.training import evaluator
from tests.compression.tiny import batches, compressed
from tests.topologies import topology


@pytest.mark.parametrize("importance", ["curves", "l1", "l2", "bn_scale", "taylor", "random"])
def test_every_criterion_chooses_units(importance: str) -> None:
    assert compressed(importance=importance).plan.kept is not None


def test_without_calibration_there_is_magnitude_and_no_repair() -> None:
    result = compressed(calibration=None, importance="l2", repair="none")

    assert result.score["pruned"] == result.score["repaired"]


def test_error_curves_tell_how_far_they_are() -> None:
    told: list[tuple[int, int]] = []
    result = compressed(on_calibration=lambda done, total: told.append((done, total)))
    channels = sum(group.size for group in result.network.groups)
    assert told[-1] == (channels, channels)
    assert told == sorted(told)
    assert len(told) > len(result.network.groups)


def labelled_by_itself() -> list[tuple[Tensor, Tensor]]:
    """Batches whose labels are what the dense network says: nobody guesses that well."""
    model = topology("residual").model.eval()
    with torch.no_grad():
        return [(x, model(x).argmax(1)) for x, _ in batches()]


@pytest.mark.parametrize("as_reward", [list, evaluator, partial(evaluator, metric="loss")])
def test_a_network_that_guesses_is_doubted_where_the_reward_reads_labels(as_reward: Any) -> None:
    with pytest.warns(GnnrlWarning, match=r"recognises .* of 64 samples, 5 classes: no more than guessing"):
        result = compressed(evaluate=as_reward(batches()))

    assert f"These numbers say little: {result.doubt}" in repr(result)
    page = render(result.record(), "out")
    assert "There is no advice" in page
    assert "These numbers say little" in page
    assert not compressed(evaluate=as_reward(labelled_by_itself())).doubt


def test_a_network_that_guesses_is_doubted_where_only_the_test_reads_labels() -> None:
    with pytest.warns(GnnrlWarning, match="test: the network recognises"):
        doubted = compressed(test=batches())

    assert "no more than guessing" in doubted.doubt
    assert not compressed(test=labelled_by_itself()).doubt
    assert not compressed().doubt, "of a function nothing is known"
