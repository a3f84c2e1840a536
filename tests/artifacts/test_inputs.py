"""Inputs of an export: which dimension is the batch, names of inputs and outputs, and how outputs differ."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gnnrl.artifacts.inputs import Call, differences, input_names, on_cpu, output_names, outputs
from gnnrl.errors import InputsError


class Two(nn.Module):
    def forward(self, x: Tensor, y: dict[str, Tensor], scale: float = 1.0) -> dict[str, Any]:
        return {"sum": x + y["left"] * scale, "pair": (x, y["right"])}


X, Y = torch.arange(6.0).reshape(2, 3), {"left": torch.ones(2, 3), "right": torch.ones(5)}


def test_the_batch_is_the_first_dimension_of_the_first_matrix() -> None:
    call = Call.of((torch.zeros(7), X))

    assert call.batch == 2
    assert [call.batched(leaf) for leaf in (X, torch.zeros(2), torch.zeros(7), 3.0)] == [True, True, False, False]
    assert Call.of(torch.zeros(7)).batch == 1


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_batch_of_another_size_has_samples_of_this_one_and_no_two_alike(size: int) -> None:
    call = Call.of((X, Y)).of_size(size)

    assert call.args[0].shape == (size, 3)
    assert torch.equal(call.args[0][:2], X[:size])
    assert len({tuple(row.tolist()) for row in call.args[0]}) == size
    assert call.args[1]["right"].shape == (5,)


def test_inputs_and_outputs_are_named_by_parameters_and_keys() -> None:
    call = Call.of((X, Y))

    assert input_names(Two(), call) == ["x", "y.left", "y.right"]
    assert output_names(Two(), call) == ["sum", "pair.0", "pair.1"]
    assert output_names(nn.Identity(), Call.of(X)) == ["output"]


def test_inputs_that_do_not_run_are_named_by_their_shapes() -> None:
    with pytest.raises(InputsError, match=r"\(\[2, 3\]\)"):
        outputs(nn.Linear(4, 2), Call.of(X))


def test_differences_are_absolute_and_relative_and_a_nan_is_the_worst() -> None:
    assert differences([X + 0.5], [X]) == (0.5, 0.1)
    assert differences([X, Y["left"] * 2], [X, Y["left"]]) == (1.0, 1.0)
    assert differences([X[:1]], [X]) == (float("inf"), float("inf"))
    assert all(found != found for found in differences([X * float("nan"), X], [X, X]))


def test_a_network_on_the_cpu_is_not_copied() -> None:
    model = nn.Linear(3, 2)

    assert on_cpu(model) is model
