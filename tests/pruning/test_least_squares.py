import subprocess
import sys

import pytest
import torch

from gnnrl.pruning.least_squares import solve

WIDE = """
import resource, sys
import torch
from torch import nn
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.calibration.dense import calibrate
from gnnrl.pruning.reconstruction import repair

torch.set_num_threads(1)
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(16, 25088 + 64), nn.ReLU(), nn.Linear(25088 + 64, 32)).eval()
network = trace(model, torch.randn(2, 16))
kept = [torch.randperm(25088 + 64)[:25088].sort().values.tolist()]
small = remove(model, network, kept)
x, unseen = torch.randn(300, 16), torch.randn(200, 16)
record = calibrate(model, [x])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with torch.no_grad():
    raw = float((small(unseen) - model(unseen)).square().mean())
    repair(small, network, kept, record)
    repaired = float((small(unseen) - model(unseen)).square().mean())
print(raw, repaired, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10)
"""


def reference(x: torch.Tensor, y: torch.Tensor, old: torch.Tensor, strength: float) -> torch.Tensor:
    """The same system written as an ordinary least-squares problem with extra rows for the pull."""
    x, y = (x - x.mean(0)).double(), (y - y.mean(0)).double()
    pull = (strength * x.square().mean() * len(x)) ** 0.5
    rows = torch.cat([x, pull * torch.eye(x.shape[1], dtype=torch.float64)])
    return torch.linalg.lstsq(rows, torch.cat([y, pull * old.T.double()])).solution.T


@pytest.mark.parametrize(("count", "inputs"), [(200, 12), (40, 40), (30, 90), (600, 150), (150, 300)])
def test_both_forms_are_the_damped_least_squares_solution(count: int, inputs: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x, y, old = (torch.randn(shape, generator=generator) for shape in ((count, inputs), (count, 5), (5, inputs)))
    x, y = x + 1, y - 2

    weight, shift = solve(x, y, old, ridge=1e-3)

    torch.testing.assert_close(weight.double(), reference(x, y, old, 1e-3 + 0.1 * inputs / count), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close((x @ weight.T + shift).mean(0), y.mean(0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("count", [10, 100])
def test_groups_are_solved_as_if_each_were_alone(count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x, y, old = (torch.randn(shape, generator=generator) for shape in ((count, 3 * 20), (count, 3 * 2), (3 * 2, 20)))

    weight, shift = solve(x, y, old, ridge=1e-3, groups=3)

    for group in range(3):
        rows, columns = slice(2 * group, 2 * group + 2), slice(20 * group, 20 * group + 20)
        alone, moved = solve(x[:, columns], y[:, rows], old[rows], ridge=1e-3)
        torch.testing.assert_close(weight[rows], alone, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(shift[rows], moved, rtol=1e-3, atol=1e-4)


def test_a_layer_that_cannot_shift_is_solved_through_the_origin() -> None:
    x = torch.rand(500, 3) + 1
    y = x @ torch.tensor([[1.0], [-2.0], [3.0]]) + 5
    weight, shift = solve(x, y, torch.zeros(1, 3), ridge=0.0, centred=False)

    assert float(shift) == 0.0
    assert float((x @ weight.T).mean()) == pytest.approx(
        float((x @ torch.tensor([1.0, -2.0, 3.0])).mean()) + 5, rel=0.05
    )


def test_a_layer_of_25088_inputs_is_repaired_in_bounded_memory() -> None:
    """Its Gram matrix alone would take 2.5 GB in float32."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", WIDE], check=True, capture_output=True, text=True)
    raw, repaired, megabytes = map(float, done.stdout.split())

    assert repaired < 0.5 * raw
    assert megabytes < 400
