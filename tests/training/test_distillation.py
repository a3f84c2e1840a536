import copy

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import TensorDataset

from gnnrl.training import training_loss
from tests.training.pictures import network, pictures, tuned


def logits(seed: int) -> Tensor:
    return torch.randn(6, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_teacher_that_agrees_adds_nothing_but_the_labels() -> None:
    found, labels = logits(0), torch.arange(6) % 5
    hard = F.cross_entropy(found, labels)
    torch.testing.assert_close(training_loss(found, labels, found + 3.0, weight=0.25), 0.75 * hard)
    torch.testing.assert_close(training_loss(found, labels, logits(1), weight=0.0), hard)


def test_distillation_follows_its_formula() -> None:
    found, wanted, labels = logits(0), logits(1), torch.arange(6) % 5
    p, q = (wanted / 3).softmax(1), (found / 3).softmax(1)
    expected = 0.3 * F.cross_entropy(found, labels, label_smoothing=0.1) + 0.7 * 9 * (p * (p / q).log()).sum(1).mean()
    loss = training_loss(found, labels, wanted, weight=0.7, temperature=3.0, label_smoothing=0.1)
    torch.testing.assert_close(loss, expected)


def test_a_network_becomes_its_teacher_without_a_label() -> None:
    teacher, data = network(7).eval(), pictures()
    before = copy.deepcopy(teacher.state_dict())
    wrong = TensorDataset(data.tensors[0], torch.zeros(48, dtype=torch.int64))
    model, _ = tuned(data=wrong, teacher=teacher, distill=1.0, epochs=12)
    images = data.tensors[0]
    with torch.no_grad():
        agreement = (model.eval()(images).argmax(1) == teacher(images).argmax(1)).double().mean()
    assert agreement > 0.8
    assert not teacher.training
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
