"""A repair touches only what it understands, and does not make unseen outputs worse."""

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gnnrl
from benchmarks.odd_networks import images, random_network, scripted_swish
from gnnrl.errors import DataError, GnnrlWarning
from gnnrl.network.surgery import remove
from gnnrl.pruning import held_out
from gnnrl.pruning.calibration.dense import calibrate
from gnnrl.pruning.held_out import StepBack, divergences, output_errors, step_back
from gnnrl.pruning.reconstruction import Repair, repair
from tests.pruning.calibration.streams import in_parts


def missed(small: nn.Module, model: nn.Module, x: Tensor) -> float:
    with torch.no_grad():
        dense = model(x.clone())
        return float((small(x.clone()) - dense).square().mean() / dense.var())


@pytest.mark.parametrize("seed", range(30))
def test_repaired_is_not_worse_than_pruned_on_unseen_images(seed: int) -> None:
    model = random_network(seed)
    network = gnnrl.trace(model, images(2, 1))
    plan = gnnrl.Plan.uniform(network, "macs<=70%")
    data, unseen = images((40, 100, 300)[seed % 3], 1000 + seed), images(200, 2000 + seed)

    pruned = gnnrl.prune(model, images(2, 1), plan, network=network)
    repaired = gnnrl.prune(model, images(2, 1), plan, network=network, calibration=[data])

    assert missed(repaired, model, unseen) <= missed(pruned, model, unseen)


class Tied(nn.Module):
    """Words whose embedding is the head."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.up, self.down = nn.Embedding(40, 16), nn.Linear(16, 32), nn.Linear(32, 16)
        self.head = nn.Linear(16, 40, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, words: Tensor) -> Tensor:
        x = self.embed(words)
        found: Tensor = self.head((x + self.down(F.gelu(self.up(x)))).mean(1))
        return found


def test_an_embedding_that_is_the_head_too_is_left_alone() -> None:
    torch.manual_seed(0)
    model, words = Tied().eval(), torch.randint(40, (200, 6))
    network = gnnrl.trace(model, words[:2])
    widths = [16 if group.size == 32 else group.size for group in network.groups]
    small = gnnrl.prune(model, words[:2], gnnrl.Plan.of_widths(network, widths), network=network, calibration=[words])

    assert "embed.weight" in calibrate(model, [words]).shared
    torch.testing.assert_close(small.embed.weight, model.embed.weight, rtol=0, atol=0)
    assert not torch.isin(small.down.weight, model.down.weight).any()


def plan_of(model: nn.Module, x: Tensor) -> gnnrl.Plan:
    return gnnrl.Plan.uniform(gnnrl.trace(model, x), "macs<=80%")


class Reader(nn.Module):
    """A branch whose output a function reads that is not seen, where `script` says so."""

    def __init__(self, script: bool) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 3, 1)
        self.script = script

    def forward(self, x: Tensor) -> Tensor:
        y = self.b(F.relu(self.a(x)))
        gate = scripted_swish(y) if self.script else y.sigmoid() * y
        found: Tensor = (x + y) * gate
        return found


@pytest.mark.parametrize("script", [True, False])
def test_an_output_that_a_script_reads_is_there_when_it_is_read(script: bool) -> None:
    torch.manual_seed(0)
    record = calibrate(Reader(script).eval(), [torch.randn(20, 3, 8, 8)])

    assert not any(layer.deferrable for layer in record.layers.values())


def test_statistics_of_a_normalisation_that_runs_twice_are_left_alone() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(8)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), norm, nn.ReLU(), nn.Conv2d(8, 8, 3), norm, nn.Conv2d(8, 4, 3)).eval()
    x = torch.randn(100, 3, 8, 8)
    plan = plan_of(model, x[:2])
    small = gnnrl.prune(model, x[:2], plan, calibration=[x], repair_by="bn")

    assert small[1] is small[4]
    torch.testing.assert_close(small[1].running_var, torch.ones_like(small[1].running_var), rtol=0, atol=0)


class InPlace(nn.Module):
    """A network that normalises its input where it lies."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.b(F.relu(self.a(x.sub_(0.5).div_(0.25))))
        return found


def test_a_network_that_writes_to_its_inputs_gets_copies() -> None:
    torch.manual_seed(0)
    model, x = InPlace().eval(), torch.rand(60, 3, 8, 8)
    before = x.clone()
    example = x[:2].clone()
    small = gnnrl.prune(model, example, plan_of(model, example), calibration=[x])

    assert torch.equal(x, before)
    assert torch.equal(example, before[:2])
    assert missed(small, model, torch.rand(60, 3, 8, 8)) < 0.2


@pytest.mark.parametrize("value", [1e6, 1e9, 1e15])
def test_one_huge_sample_is_named(value: float) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3)).eval()
    x = torch.randn(50, 3, 8, 8)
    x[7] = value

    with pytest.raises(DataError, match=r"sample 7 of the 50 calibration samples"):
        calibrate(model, [x])


def test_a_repair_that_unseen_images_speak_against_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)).eval(), torch.randn(40, 6)
    network = gnnrl.trace(model, x[:2])
    plan = gnnrl.Plan.uniform(network, "macs<=70%")
    errors = iter([torch.tensor(0.231), torch.tensor(0.185)])
    monkeypatch.setattr(held_out, "output_errors", lambda *_: next(errors))

    with pytest.warns(GnnrlWarning, match=r"is not repaired: .* \(0.231 instead of 0.185\)"):
        small = gnnrl.prune(model, x[:2], plan, network=network, calibration=[x])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pruned = gnnrl.prune(model, x[:2], plan, network=network)
    torch.testing.assert_close(small[2].weight, pruned[2].weight, rtol=0, atol=0)


@pytest.mark.parametrize("together", [1000, 24])
def test_a_layer_whose_repair_is_worse_on_unseen_images_is_left(together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second layer is fitted to noise: 46 images for 47 inputs, one lost."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(60, 48), nn.Tanh(), nn.Linear(48, 1)).eval()
    network, kept = gnnrl.trace(model, torch.randn(2, 60)), [range(47)]
    with torch.no_grad():
        model[2].weight[0, 47] = 0.03
    in_parts(monkeypatch, together)
    record, small = calibrate(model, [torch.randn(61, 60)]), remove(model, network, kept)

    found = step_back(small, network, kept, record, Repair(ridge=1e-6, per_input=0))
    before = copy.deepcopy(small)
    repair(small, network, kept, record, left=found.layers)

    assert found == StepBack(frozenset({1}), ("2.weight",))
    assert torch.equal(small[2].weight, before[2].weight)
    assert not torch.equal(small[2].bias, before[2].bias)


def test_fewer_than_eight_images_are_all_fitted() -> None:
    model, x = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)).eval(), torch.randn(7, 6)
    record = calibrate(model, [x])
    network = gnnrl.trace(model, x[:2])
    kept = [range(8)]

    assert record.fitted == 7
    assert step_back(remove(model, network, kept), network, kept, record, Repair()) == StepBack()


def test_the_error_of_outputs_is_their_share_of_the_variance_summed_over_outputs() -> None:
    values = torch.tensor([[[0.0]], [[2.0]]])
    tokens = torch.tensor([[0.0], [4.0], [0.0], [4.0]])

    assert output_errors([values + 0.5], [values], 2).tolist() == pytest.approx([0.25, 0.25])
    assert output_errors([tokens + torch.eye(4)[:, :1]], [tokens], 2).tolist() == pytest.approx([0.125, 0.0])
    assert output_errors([values, tokens - 2], [values - 1, tokens], 2).tolist() == pytest.approx([2.0, 2.0])


def test_the_divergence_of_logits_is_that_of_softened_probabilities() -> None:
    """Logits 4 and 0 are 0.880797 and 0.119203 at a temperature of 2."""
    dense = torch.tensor([[0.0, 0.0], [4.0, 0.0]])

    assert divergences([dense + 5], [dense], 2).tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    assert divergences([dense.flip(1)], [dense], 2).tolist() == pytest.approx(
        [0.0, 2 * (0.880797 - 0.119203)], rel=1e-4
    )
    assert divergences([dense[:, :1] + 1], [dense[:, :1]], 2).tolist() == pytest.approx([0.25, 0.25])
