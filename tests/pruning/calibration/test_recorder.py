"""Records of the layer calls of a dense network."""

import copy

import pytest
import torch
from torch import nn

from gnnrl.pruning.calibration.dense import calibrate
from gnnrl.pruning.calibration.sampling import Sampler
from tests.pruning.calibration.streams import in_parts
from tests.topologies import images, traced

EVERYTHING = Sampler(per_input=10**6, least=10**9, work=1e18)


def test_what_is_recorded_is_what_the_network_computes() -> None:
    layer = nn.Conv2d(3, 4, 3, padding=1)
    x = images(batch=3)
    (record,) = calibrate(nn.Sequential(layer), [x], sampler=EVERYTHING).layers.values()
    patches = torch.nn.functional.unfold(x, 3, padding=1).transpose(1, 2).flatten(0, 1)
    target = layer(x).movedim(1, -1).flatten(0, -2).detach()

    assert record.name == "0.weight"
    torch.testing.assert_close(record.target, target)
    assert record.energy == pytest.approx(float(target.square().mean(0).sum()), rel=1e-4)
    assert record.moments is not None
    torch.testing.assert_close(record.moments.mean, patches.mean(0))
    torch.testing.assert_close(record.moments.covariance, torch.cov(patches.T, correction=0), rtol=1e-4, atol=1e-5)


def test_the_scale_of_a_normalisation_is_gamma_over_sigma() -> None:
    case = traced("chain")
    record = calibrate(case.model, [images(batch=8)]).of_weight("0.0.weight")[0]
    norm = case.model[0][1]

    torch.testing.assert_close(record.scale, (norm.weight / (norm.running_var + norm.eps).sqrt()).detach())


def test_depthwise_layers_are_recorded_without_the_covariance_of_all_inputs() -> None:
    record = calibrate(traced("depthwise").model, [images(batch=8)])
    moments = {layer.name: layer.moments is not None for layer in record.layers.values()}

    assert moments == {
        "0.0.weight": True,
        "1.0.weight": False,
        "2.0.weight": True,
        "3.0.weight": False,
        "4.0.weight": True,
        "5.linear.weight": True,
    }


def test_a_shared_layer_has_a_record_for_each_call() -> None:
    record = calibrate(traced("shared_module").model, [images(batch=8)])

    assert len(record.of_weight("shared.0.weight")) == 2


def test_a_branch_knows_the_sum_it_ends_in() -> None:
    case = traced("residual")
    x = images(batch=4)
    record = calibrate(case.model, [x], sampler=EVERYTHING).of_weight("1.conv2.0.weight")[0]
    with torch.no_grad():
        stem = case.model[0](x)
        stream = case.model[1].conv2(case.model[1].conv1(stem)) + stem

    assert record.branch_target is not None
    torch.testing.assert_close(record.branch_target[1], stream.movedim(1, -1).flatten(0, -2), rtol=1e-4, atol=1e-5)


def test_moments_can_be_left_out() -> None:
    record = calibrate(traced("chain").model, [images()], moments=False)

    assert all(layer.moments is None for layer in record.layers.values())


def test_networks_in_float64_are_calibrated() -> None:
    record = calibrate(copy.deepcopy(traced("chain").model).double(), [images().double()])

    assert all(layer.target.dtype == torch.float64 for layer in record.layers.values())


@pytest.mark.parametrize("name", ["chain", "residual", "layer_scale", "group_norm"])
def test_parts_give_the_records_of_one_piece(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = traced(name)
    x = images(batch=61)
    whole = calibrate(case.model, [x])
    in_parts(monkeypatch)
    record = calibrate(case.model, [x])

    assert (len(whole.parts), whole.fitted) == (1, 46)
    assert [part.stop for part in record.parts] == [9, 18, 27, 36, 46, 61]
    assert record.fitted == 46
    torch.testing.assert_close(record.outputs, whole.outputs, rtol=1e-4, atol=1e-5)
    for order, wanted in whole.layers.items():
        found = record.layers[order]
        torch.testing.assert_close(found.target, wanted.target, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.scale, wanted.scale, rtol=1e-4, atol=1e-5)
        assert found.energy == pytest.approx(wanted.energy, rel=1e-4)
        assert (found.branch_target is None) == (wanted.branch_target is None)
        if wanted.moments is not None and found.moments is not None:
            torch.testing.assert_close(found.moments.covariance, wanted.moments.covariance, rtol=1e-3, atol=1e-5)


def test_progress_counts_images(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    in_parts(monkeypatch)
    calibrate(traced("chain").model, [images(batch=30)], progress=lambda done, total: told.append((done, total)))

    assert told == [(11, 30), (23, 30), (30, 30)]
