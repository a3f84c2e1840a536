"""The benchmark of what is left without training: its table, and how it treats other tools' networks."""

import copy
import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from gnnrl.zoo.networks import digits_resnet

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


def images(count: int, channels: int, side: int) -> Tensor:
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(1))


def script(name: str) -> ModuleType:
    return importlib.import_module(name)


def normalised() -> nn.Module:
    """Two convolutions with BatchNorms that have seen something, one of them with a negative weight."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.BatchNorm2d(4))
    for norm in (model[1], model[4]):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias)
    model[1].weight.data[2] *= -1
    model.train()(images(64, 3, 12))
    return model.eval()


def test_a_batch_norm_that_is_put_back_changes_nothing_until_it_is_recalibrated() -> None:
    peers, subjects = script("untrained_peers"), script("untrained_subjects")
    model, x = normalised(), images(50, 3, 12)
    folded = peers.folded(copy.deepcopy(model))
    state = {name: value.detach() for name, value in folded.state_dict().items()}
    kept = torch.tensor([0, 2, 5, 7])
    state |= {
        "0.weight": state["0.weight"][kept],
        "0.bias": state["0.bias"][kept],
        "3.weight": state["3.weight"][:, kept],
    }
    small = peers.read_back(folded, state)
    before = small(x)

    normed = peers.unfolded(small, folded, model)
    torch.testing.assert_close(normed(x), before, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(normed[1].weight.detach(), model[1].weight.detach()[kept].abs())

    again = subjects.recalibrated(normed, x)(x)
    torch.testing.assert_close(again.mean((0, 2, 3)), model[4].bias.detach(), rtol=1e-3, atol=1e-3)


def test_the_ratio_is_the_smallest_that_meets_the_limit() -> None:
    peers, subjects = script("untrained_peers"), script("untrained_subjects")
    x = images(1, 3, 12)

    def small(ratio: float) -> nn.Module:
        width = max(1, round(100 * (1 - ratio)))
        return nn.Sequential(nn.Conv2d(3, width, 3), nn.Conv2d(width, 4, 3))

    ratio = peers.smallest_ratio(small, x, 0.5 * subjects.macs(small(0.0), x))
    assert ratio == pytest.approx(0.5, abs=0.02)
    assert subjects.macs(small(ratio), x) <= 0.5 * subjects.macs(small(0.0), x)


def test_correlation_is_that_of_ranks() -> None:
    a, b = np.random.RandomState(0).normal(size=(2, 50))
    assert script("untrained_sentences").spearman(a, a + b) == pytest.approx(spearmanr(a, a + b).statistic)


def test_the_folds_judge_every_image_once_and_calibrate_on_none_of_them() -> None:
    subjects = script("untrained_subjects")
    folds = [subjects.fold_of(fold) for fold in range(subjects.FOLDS)]
    assert sorted(np.concatenate([judged for _, judged in folds])) == list(range(500))
    for calibrated, judged in folds:
        assert len(calibrated) == subjects.CALIBRATED
        assert not set(calibrated) & set(judged)


def test_the_table_pairs_rows_of_the_same_images_and_names_what_failed(tmp_path: Path) -> None:
    rows = {
        "mobilenet_v2 dense 0": {"divergence": [0.0, 0.0], "right": [1, 1]},
        "mobilenet_v2 macs<=50% weighted 0": {"divergence": [1.0, 3.0], "right": [1, 0]},
        "mobilenet_v2 macs<=50% uniform 0": {"divergence": [4.0, 4.0], "right": [0, 0]},
    }
    failed = {"mobilenet_v2 macs<=50% onnxsim-wanda 0": "it stopped"}
    path = tmp_path / "found.json"
    path.write_text(json.dumps({"rows": rows, "failed": failed}))
    assert list(script("untrained").report(path))[2:] == [
        "| mobilenet_v2 |  | dense | 1 | 0.000 ± 0.000 | 100.0 |  |",
        "| mobilenet_v2 | macs<=50% | weighted | 1 | 2.000 ± 1.000 | 50.0 |  |",
        "| mobilenet_v2 | macs<=50% | uniform | 1 | 4.000 ± 0.000 | 0.0 | -50.0 ± 98.0 |",
        "| mobilenet_v2 | macs<=50% | onnxsim-wanda | 0 | not measured: it stopped | | |",
    ]


def test_blocks_hold_means_of_the_images() -> None:
    untrained = script("untrained")
    x, y = images(20, 1, 8), torch.arange(20) % 10
    model = digits_resnet().eval()
    dense, other = model(x).detach(), torch.randn(20, 10, generator=torch.Generator().manual_seed(0))
    known = {"model": model, "calibration": [x], "judged": x, "labels": y, "rules": None}
    one, ten = (untrained.Prepared(**known, block=block).row(dense, other) for block in (1, 10))
    assert len(one["divergence"]) == 20
    assert len(ten["divergence"]) == 2
    assert np.mean(one["divergence"]) == pytest.approx(np.mean(ten["divergence"]), abs=1e-4)
    assert np.mean(one["right"]) == pytest.approx(np.mean(ten["right"]))
