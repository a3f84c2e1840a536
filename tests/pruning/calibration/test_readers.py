"""Who reads parameters: a layer of its own, or something that must not be changed with it."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnrl.pruning.calibration.readers import Readers
from gnnrl.pruning.calibration.watch import watching
from tests.pruning.calibration.notes import Notes


def shared(model: nn.Module, x: Tensor) -> frozenset[str]:
    readers = Readers(model)
    with torch.no_grad(), watching(model, Notes().observer, readers):
        model(x)
    return readers.shared


class Reading(nn.Module):
    """Two layers of 4, and whatever else reads them."""

    def __init__(self, run: Callable[["Reading", Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.run = nn.Linear(4, 4), nn.Linear(4, 4), run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


@pytest.mark.parametrize(
    ("run", "found"),
    [
        (lambda m, x: m.b(m.a(x)), set()),
        (lambda m, x: m.a(m.a(x)), {"a.weight", "a.bias"}),
        (lambda m, x: m.b(m.a(x)) + m.a.weight.sum(), {"a.weight"}),
        (lambda m, x: F.linear(x, m.a.weight, m.b.bias), set()),
        (lambda m, x: F.linear(m.a(x), m.b.weight, m.a.bias), {"a.bias"}),
        (lambda m, x: F.linear(m.a.weight, m.b.weight), {"a.weight"}),
        (lambda m, x: m.a(x) @ m.b.weight.T, {"b.weight"}),
    ],
    ids=["once", "twice", "sum", "another's bias", "bias of two", "as an input", "product"],
)
def test_what_two_layers_or_anything_else_reads_is_shared(run: Callable[..., Tensor], found: set[str]) -> None:
    assert shared(Reading(run), torch.randn(2, 4)) == found


def test_what_a_script_function_reads_is_seen_through_its_operations() -> None:
    @torch.jit.script
    def scripted(x: Tensor, weight: Tensor) -> Tensor:
        return x @ weight

    assert shared(Reading(lambda m, x: scripted(m.a(x), m.b.weight)), torch.randn(2, 4)) == {"b.weight"}


def test_running_statistics_belong_to_their_normalisation() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))

    assert shared(model.eval(), torch.randn(2, 3, 4, 4)) == frozenset()


@pytest.mark.parametrize(
    ("run", "alone"),
    [
        (lambda m, x: m.b(m.a(x)), True),
        (lambda m, x: m.a(m.a(x)), False),
        (lambda m, x: m.b(m.a(x)) + m.a.weight.sum(), False),
    ],
)
def test_the_direction_of_a_weight_norm_is_read_by_what_reads_the_weight(
    run: Callable[[Reading, Tensor], Tensor], alone: bool
) -> None:
    model = Reading(run)
    nn.utils.parametrizations.weight_norm(model.a)
    direction = "a.parametrizations.weight.original1"

    assert (direction not in shared(model.eval(), torch.randn(3, 4))) == alone
