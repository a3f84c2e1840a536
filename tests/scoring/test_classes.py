import pytest
import torch

from gnnrl.scoring.classes import ClassTally
from gnnrl.training import top1
from tests.report.results import batches, result


def test_classes_are_counted_while_the_score_is_measured() -> None:
    data = batches(3, seed=2)
    tally = ClassTally(data, names=("a", "b"))
    found = result()

    assert tally(found.model) == pytest.approx(top1(found.model, data))
    labels = torch.cat([labels for _, labels in data])
    assert tally.images == tuple(torch.bincount(labels, minlength=5).tolist())
    assert sum(tally.passes[0]) == round(len(labels) * top1(found.model, data))
    assert tally.change(0, 0)["names"] == ["a", "b", "2", "3", "4"]
    assert found.classes is not None
    images = found.classes["images"]
    share = sum(a * b for a, b in zip(images, found.classes["final"], strict=True)) / sum(images)
    assert share == pytest.approx(found.score["repaired"])
