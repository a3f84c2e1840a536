"""Judging networks: accuracy, loss, divergence, and batches that do not fit."""

import math
import pickle
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from gnnrl.errors import ConfigError, DataError, EvaluationError
from gnnrl.training import Metric, cross_entropy, evaluator, finetune, top1
from gnnrl.zoo.data import load_data
from gnnrl.zoo.digits import DIGITS_MEAN, DIGITS_STD
from gnnrl.zoo.models import resolve_model
from tests.scoring.blobs import Pairs, equal, state


def one_hot(labels: list[int], classes: int = 3) -> Tensor:
    return torch.eye(classes)[torch.tensor(labels)]


def test_top1_is_the_share_of_recognised_samples_whatever_the_batches() -> None:
    logits, labels = one_hot([0, 1, 2, 0, 1]), torch.tensor([0, 1, 2, 1, 0])
    assert top1(nn.Identity(), [(logits, labels)]) == 3 / 5
    assert top1(nn.Identity(), [(logits[:4], labels[:4]), (logits[4:], labels[4:])]) == 3 / 5


def test_cross_entropy_is_the_mean_over_samples() -> None:
    logits, labels = torch.zeros(5, 4), torch.zeros(5, dtype=torch.int64)
    assert cross_entropy(nn.Identity(), [(logits[:4], labels[:4]), (logits[4:], labels[4:])]) == pytest.approx(
        math.log(4)
    )


def test_every_kind_of_data_gives_the_same_score(blobs: TensorDataset, classifier: nn.Module) -> None:
    inputs, labels = blobs.tensors
    score = top1(classifier, [(inputs, labels)])
    kinds: list[Any] = [blobs, Pairs(inputs, labels), DataLoader(blobs, 7), [(inputs, labels)], [[inputs, labels]]]
    for data in kinds:
        assert evaluator(data, batch_size=33)(classifier) == score


def test_higher_scores_are_better_for_all_metrics(blobs: TensorDataset, classifier: nn.Module) -> None:
    teacher = nn.Linear(2, 2)
    finetune(teacher, blobs, epochs=4, batch_size=20, learning_rate=0.1)
    judges = {metric: evaluator(blobs, metric, teacher=teacher) for metric in get_args(Metric)}
    before = {metric: judge(classifier) for metric, judge in judges.items()}
    finetune(classifier, blobs, epochs=3, batch_size=20)
    assert all(judges[metric](classifier) > score for metric, score in before.items())


def test_divergence_is_the_mean_over_samples_and_nothing_for_the_teacher(
    blobs: TensorDataset, classifier: nn.Module
) -> None:
    images, labels = blobs.tensors
    batches = [(images[:120], labels[:120]), (images[120:], labels[120:])]
    teacher = nn.Linear(2, 2)
    with torch.no_grad():
        goal, found = (torch.softmax(model(images) / 2, 1) for model in (teacher, classifier.eval()))
    divergence = (goal * (goal / found).log()).sum(1).mean().item()

    judge = evaluator(batches, "kl", teacher=teacher)

    assert judge(classifier) == pytest.approx(-divergence, rel=1e-5)
    assert judge(teacher) == pytest.approx(0, abs=1e-9)


def test_the_divergence_of_a_teacher_that_is_trained_further_stays_that_of_the_first_day(
    blobs: TensorDataset,
) -> None:
    teacher = nn.Linear(2, 2)
    judge = evaluator(blobs, "kl", teacher=teacher)
    finetune(teacher, blobs, epochs=1, learning_rate=0.1)

    assert judge(teacher) < -1e-3


@pytest.mark.parametrize("change", ["order", "fewer", "more"])
def test_divergence_from_what_the_teacher_said_of_other_batches_is_refused(
    blobs: TensorDataset, classifier: nn.Module, change: str
) -> None:
    images = blobs.tensors[0][:4]
    batches = [(images[:2], torch.tensor([0, 0])), (images[2:], torch.tensor([1, 0]))]
    judge = evaluator(batches, "kl", teacher=nn.Linear(2, 2))
    if change == "order":
        batches.reverse()
    elif change == "fewer":
        batches.pop()
    else:
        batches.append(batches[0])

    with pytest.raises(DataError, match="no shuffle"):
        judge(classifier)


def test_divergence_needs_a_teacher(blobs: TensorDataset) -> None:
    with pytest.raises(ConfigError, match="teacher="):
        evaluator(blobs, "kl")


def test_judging_changes_nothing(blobs: TensorDataset, classifier: nn.Sequential) -> None:
    classifier.train()
    classifier[1].eval()  # a user may have frozen one layer
    before, modes = state(classifier), [module.training for module in classifier.modules()]
    evaluator(blobs)(classifier)
    assert equal(before, state(classifier))
    assert modes == [module.training for module in classifier.modules()]


def test_modes_are_restored_when_judging_fails(classifier: nn.Module) -> None:
    classifier.train()
    with pytest.raises(RuntimeError, match="shapes"):
        top1(classifier, [(torch.zeros(1, 3), torch.zeros(1, dtype=torch.int64))])
    assert all(module.training for module in classifier.modules())


def test_bfloat16_comes_close_to_float32() -> None:
    model = resolve_model("digits-resnet", pretrained=True)
    test = load_data("digits", image_size=(8, 8), mean=DIGITS_MEAN, std=DIGITS_STD).test
    assert evaluator(test, precision="bfloat16")(model) == pytest.approx(evaluator(test)(model), abs=0.01)


def test_evaluator_can_be_sent_to_another_process(blobs: TensorDataset, classifier: nn.Module) -> None:
    evaluate = evaluator(blobs)
    assert pickle.loads(pickle.dumps(evaluate))(classifier) == evaluate(classifier)


def test_unknown_metric_is_refused(blobs: TensorDataset) -> None:
    with pytest.raises(ConfigError, match="no metric 'top5'; there are top1, loss, kl"):
        evaluator(blobs, "top5")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_outputs_that_are_not_finite_are_an_error(value: float) -> None:
    with pytest.raises(EvaluationError, match="outputs are NaN or infinite"):
        top1(nn.Identity(), [(torch.full((2, 3), value), torch.zeros(2, dtype=torch.int64))])


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "no batches to score"),
        ([torch.zeros(2, 3)], r"tensors \(x, y\), or .* not Tensor"),
        ([(torch.zeros(2, 3), ["cat", "dog"])], "must be tensors"),
        (
            [(torch.zeros(2, 3), torch.zeros(3, 3), torch.zeros(2, dtype=torch.int64))],
            "different numbers of samples: 2, 3",
        ),
        ([(torch.zeros(2, 3), torch.zeros(2))], r"labels must be 2 integers, not torch\.float32"),
        ([(torch.zeros(2, 3), torch.zeros(3, dtype=torch.int64))], r"labels must be 2 integers, not .* \[3\]"),
        ([(torch.zeros(2, 3), torch.tensor([0, 3]))], "labels run from 0 to 3, but the network has 3 classes"),
    ],
)
def test_unusable_batches_are_described(batches: list[object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        top1(nn.Identity(), batches)  # type: ignore[arg-type]


@pytest.mark.parametrize("output", [torch.zeros(2, 3, 4), {"logits": torch.zeros(2, 3)}])
def test_outputs_that_are_no_logits_are_described(output: object) -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> object:
            return output

    with pytest.raises(
        EvaluationError, match=r"expected logits \[n, classes\], but the network returns (\[2, 3, 4\]|dict)"
    ):
        top1(Odd(), [(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64))])
