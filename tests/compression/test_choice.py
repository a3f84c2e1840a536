"""A fine-tuning that ruins the network is told, and not kept."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gnnrl
from gnnrl.cli.tables import changes
from gnnrl.compression.finishing import SHARE, choose
from gnnrl.errors import ConfigError, GnnrlWarning
from gnnrl.report.names import sampling_error
from gnnrl.report.page import render
from gnnrl.scoring.adapters import as_evaluate, as_tally
from gnnrl.scoring.measures import evaluator
from tests.topologies import images, topology


def labelled(model: nn.Module, count: int = 200) -> list[tuple[Tensor, Tensor]]:
    """Samples with the labels that the network gives them: it recognises all."""
    x = torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return [(x, model.eval()(x).argmax(1))]


def ruin(model: nn.Module) -> None:
    with torch.no_grad():
        model[3].linear.weight.neg_()


def compressed(**settings: Any) -> gnnrl.CompressionResult:
    model = topology("residual").model
    data = labelled(model)
    settings = {"evaluate": data, "calibration": data, "searcher": "curves", "finetune": ruin} | settings
    return gnnrl.compress(model, images(), "macs<=80%", **settings)


@pytest.mark.parametrize("test", [None, labelled])
def test_a_ruined_network_is_warned_of_and_the_repaired_one_is_kept(test: Any, tmp_path: Path) -> None:
    data = labelled(topology("residual").model)
    with pytest.warns(GnnrlWarning, match=r"its top-1 on 200 samples of the reward fell from .* The repaired"):
        result = compressed(test=data if test else None)

    assert result.kept == "repaired"
    assert result.score["finetuned"] < result.score["repaired"] - 0.1
    assert as_evaluate(data)(result.model) == pytest.approx(result.score["repaired"])
    result.save(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["kept"] == "repaired"
    record = result.record()
    assert record.final == record.score["repaired"]
    if result.classes is not None:
        recognised = zip(result.classes["images"], result.classes["final"], strict=True)
        assert sum(n * share for n, share in recognised) / 200 == pytest.approx(record.final)


def test_the_page_says_it_first_in_words_of_the_api_that_was_used() -> None:
    with pytest.warns(GnnrlWarning):
        record = compressed().record()
    lead = render(record, "out").split('class="lead">')[1].split("</p>")[0]
    assert lead.startswith("Fine-tuning made the network worse")
    assert "keep=&#34;finetuned&#34;" in lead
    assert "--" not in lead
    told = render(record.model_copy(update={"commands": (("gnnrl", "report", "out"),)}), "out")
    lead = told.split('class="lead">')[1].split("</p>")[0]
    assert "--finetune-epochs 0" in lead
    assert "keep=" not in lead


def test_the_fine_tuned_network_is_kept_if_that_is_asked_for() -> None:
    result = compressed(keep="finetuned")
    assert result.kept == "finetuned"
    assert result.record().final == result.score["finetuned"] < result.score["repaired"]
    with pytest.raises(ConfigError, match="keep must be 'better' or 'finetuned'"):
        compressed(keep="best")


def test_a_good_fine_tuning_is_kept_without_a_word() -> None:
    assert compressed(finetune=lambda model: None).kept == "finetuned"
    assert compressed(finetune=None).kept == "repaired"


class Constant(nn.Module):
    """Recognises a number of 100 samples of class 1."""

    def __init__(self, right: int) -> None:
        super().__init__()
        self.right = right

    def forward(self, x: Tensor) -> Tensor:
        return torch.nn.functional.one_hot((x.flatten() < self.right).long(), 2).float()


@pytest.mark.parametrize("metric", ["top1", "loss"])
def test_a_loss_within_the_half_width_is_chance(metric: Any) -> None:
    data = [(torch.arange(100.0).reshape(-1, 1), torch.ones(100, dtype=torch.int64))]
    reward = evaluator(data, metric)
    accepted = int(100 * sampling_error(0.9, 100))
    stages = {name: Constant(90) for name in ("dense", "pruned", "repaired")}

    assert choose(reward, {**stages, "finetuned": Constant(90 - accepted)}) == "finetuned"
    with pytest.warns(GnnrlWarning, match="from 90"):
        assert choose(reward, {**stages, "finetuned": Constant(89 - accepted)}) == "repaired"


def test_a_function_of_ones_own_may_lose_a_share_of_what_pruning_changed() -> None:
    def own(model: nn.Module) -> float:
        return float(model.right)

    assert as_tally(own) is None
    stages: dict[str, nn.Module] = {"dense": Constant(1000), "pruned": Constant(0), "repaired": Constant(900)}
    assert choose(own, {**stages, "finetuned": Constant(900 - int(1000 * SHARE))}) == "finetuned"
    with pytest.warns(GnnrlWarning, match="its score of the reward fell from 900 to 889, by more than 10"):
        assert choose(own, {**stages, "finetuned": Constant(889)}) == "repaired"


def test_the_table_marks_the_network_that_was_saved() -> None:
    score = {"dense": 0.9, "pruned": 0.1, "repaired": 0.8, "finetuned": 0.2}
    known = {"score": score, "kept": "repaired", "test_images": 100, "metric": "top1", "limits": ()}
    table = changes(compressed(finetune=None).record(known))
    assert [column.style for column in table.columns[1:5]] == ["", "", "bold", ""]
    assert str(next(iter(table.columns[5].cells))) == "−10.0 points"
