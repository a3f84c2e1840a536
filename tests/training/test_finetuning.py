"""Judging and fine-tuning networks."""

import math
import pickle
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from gnnrl.errors import ConfigError, DataError, EvaluationError
from gnnrl.training import Metric, cross_entropy, evaluator, finetune, rate_at, top1
from gnnrl.zoo.batches import augmented
from gnnrl.zoo.data import load_data
from gnnrl.zoo.digits import DIGITS_MEAN, DIGITS_STD
from gnnrl.zoo.models import resolve_model


class Pairs(Dataset[tuple[Tensor, int]]):
    """A user's dataset: one sample at a time, labels as plain numbers."""

    def __init__(self, inputs: Tensor, labels: Tensor) -> None:
        self.inputs, self.labels = inputs, labels

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.inputs[index], int(self.labels[index])


@pytest.fixture
def blobs() -> TensorDataset:
    """Two clouds of points, 100 each, that a straight line tells apart."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 2
    return TensorDataset(torch.randn(200, 2, generator=generator) + 4 * labels[:, None] - 2, labels)


@pytest.fixture
def classifier() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2))


def one_hot(labels: list[int], classes: int = 3) -> Tensor:
    return torch.eye(classes)[torch.tensor(labels)]


def state(model: nn.Module) -> list[Tensor]:
    return [tensor.clone() for tensor in model.state_dict().values()]


def equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# --- judging ---


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

    with pytest.raises(DataError, match="without shuffle"):
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
        ([], "no batches to judge"),
        ([torch.zeros(2, 3)], r"tensors \(x, y\), or .* not Tensor"),
        ([(torch.zeros(2, 3), ["cat", "dog"])], "must be tensors"),
        ([(torch.zeros(2, 3), torch.zeros(3, 3), torch.zeros(2, dtype=torch.int64))], "have 2, 3 samples"),
        ([(torch.zeros(2, 3), torch.zeros(2))], r"labels must be 2 integers, not torch\.float32"),
        ([(torch.zeros(2, 3), torch.zeros(3, dtype=torch.int64))], r"labels must be 2 integers, not .* \[3\]"),
        ([(torch.zeros(2, 3), torch.tensor([0, 3]))], "labels run from 0 to 3, but the network tells 3 classes apart"),
    ],
)
def test_unusable_batches_are_described(batches: list[object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        top1(nn.Identity(), batches)  # type: ignore[arg-type]


class Difference(nn.Module):
    """Tells from two inputs which is the larger."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        logits: Tensor = self.layer(left - right)
        return logits


def two_inputs() -> TensorDataset:
    left, right = torch.randn(2, 200, 2, generator=torch.Generator().manual_seed(0))
    return TensorDataset(left, right, ((left - right).sum(1) > 0).long())


def test_networks_of_several_inputs_are_judged_and_trained() -> None:
    torch.manual_seed(0)
    model, data = Difference(), two_inputs()

    result = finetune(model, data, epochs=5, batch_size=20, learning_rate=0.5)

    assert result.history[-1].top1 > 0.95
    assert top1(model, list(DataLoader(data, 30))) == evaluator(data)(model) > 0.95


def test_several_inputs_are_not_augmented() -> None:
    with pytest.raises(DataError, match=r"several inputs .* augment 'none'"):
        finetune(Difference(), two_inputs(), epochs=1, batch_size=20, augment="crop")


@pytest.mark.parametrize("output", [torch.zeros(2, 3, 4), {"logits": torch.zeros(2, 3)}])
def test_outputs_that_are_no_logits_are_described(output: object) -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> object:
            return output

    with pytest.raises(EvaluationError, match=r"expected logits \[n, classes\], the network gives (\[2, 3, 4\]|dict)"):
        top1(Odd(), [(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64))])


# --- fine-tuning ---


def test_finetuning_learns_what_can_be_learnt(blobs: TensorDataset, classifier: nn.Module) -> None:
    result = finetune(classifier, blobs, epochs=5, batch_size=20, label_smoothing=0.05)
    assert evaluator(blobs)(classifier) > 0.98
    assert [epoch.number for epoch in result.history] == [1, 2, 3, 4, 5]
    assert result.history[-1].loss < result.history[0].loss
    assert not result.diverged


@pytest.mark.parametrize("seed", [0, 7])
def test_same_seed_gives_the_same_weights_whatever_the_global_generator(seed: int, classifier: nn.Module) -> None:
    data = load_data("digits", image_size=(8, 8), mean=DIGITS_MEAN, std=DIGITS_STD).calibration
    states = []
    for global_seed, own_seed in ((1, seed), (2, seed), (2, seed + 1)):
        model = resolve_model("digits-resnet", pretrained=True)
        torch.manual_seed(global_seed)
        finetune(model, [data.batch(torch.arange(64))], epochs=2, augment="flip-crop", seed=own_seed)
        states.append(state(model))
    assert equal(states[0], states[1])
    assert not equal(states[1], states[2])


def test_global_generator_and_modes_are_left_as_they_were(blobs: TensorDataset, classifier: nn.Module) -> None:
    classifier.eval()
    generator = torch.get_rng_state()
    finetune(classifier, blobs, epochs=1)
    assert torch.equal(generator, torch.get_rng_state())
    assert not classifier.training


def test_frozen_parameters_stay(blobs: TensorDataset, classifier: nn.Sequential) -> None:
    classifier[0].requires_grad_(False)
    before = state(classifier[0])
    finetune(classifier, blobs, epochs=1)
    assert equal(before, state(classifier[0]))


def test_users_loader_is_taken_as_it_is(blobs: TensorDataset, classifier: nn.Module) -> None:
    steps: list[tuple[int, int, float]] = []
    finetune(classifier, DataLoader(blobs, 50), epochs=2, on_progress=lambda *step: steps.append(step))
    assert [(done, total) for done, total, _ in steps] == [(i, 8) for i in range(1, 9)]


def test_single_sample_left_over_is_passed_over(blobs: TensorDataset, classifier: nn.Module) -> None:
    finetune(classifier, TensorDataset(*blobs[:41]), epochs=1, batch_size=20)  # BatchNorm would fail on one sample


def test_batches_of_one_sample_are_trained_on_where_the_network_can(blobs: TensorDataset) -> None:
    model = nn.Linear(2, 2)
    finetune(model, DataLoader(TensorDataset(*blobs[:100]), 1), epochs=1, learning_rate=0.1)
    assert evaluator(blobs)(model) > 0.95


def test_stream_without_a_length_needs_a_constant_rate(blobs: TensorDataset, classifier: nn.Module) -> None:
    class Stream:
        def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
            return iter(DataLoader(blobs, 50))

    with pytest.raises(ConfigError, match="'one-cycle' needs to know how many batches there are"):
        finetune(classifier, Stream(), epochs=1)
    result = finetune(classifier, Stream(), epochs=1, schedule="constant", learning_rate=0.02)
    assert result.history[0].learning_rate == 0.02


def test_divergence_restores_the_best_epoch(blobs: TensorDataset, classifier: nn.Module) -> None:
    inputs, labels = blobs.tensors
    after: list[list[Tensor]] = []

    class Poisoned:
        epochs = 0

        def __len__(self) -> int:
            return 1

        def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
            after.append(state(classifier))
            self.epochs += 1
            yield (inputs * float("nan") if self.epochs == 3 else inputs), labels

    result = finetune(classifier, Poisoned(), epochs=5, learning_rate=0.01)
    assert result.diverged
    assert len(result.history) == 2
    best = min(result.history, key=lambda epoch: epoch.loss)
    assert equal(state(classifier), after[best.number])  # as the next epoch found it


def test_divergence_in_the_first_epoch_leaves_the_network_as_it_was(
    blobs: TensorDataset, classifier: nn.Module
) -> None:
    before = state(classifier)
    with pytest.raises(EvaluationError, match="not finite in the first epoch at learning rate 1e"):
        finetune(classifier, blobs, epochs=3, learning_rate=1e30, batch_size=20, schedule="constant")
    assert equal(before, state(classifier))


def test_every_wrong_setting_is_named_at_once(blobs: TensorDataset, classifier: nn.Module) -> None:
    with pytest.raises(ConfigError) as error:
        finetune(
            classifier.requires_grad_(False),
            blobs,
            epochs=0,
            learning_rate=float("nan"),
            batch_size=1,
            weight_decay=-1,
            label_smoothing=1,
            schedule="linear",  # type: ignore[arg-type]
            augment="flip",  # type: ignore[arg-type]
            precision="float16",  # type: ignore[arg-type]
        )
    for name in ("epochs", "learning_rate", "batch_size", "weight_decay", "label_smoothing"):
        assert f"{name} must be" in str(error.value)
    for text in ("not linear", "not flip", "not float16", "no parameter of the network can be trained"):
        assert text in str(error.value)


def test_no_data_to_train_on_is_an_error(classifier: nn.Module) -> None:
    with pytest.raises(DataError, match="no batches to train on"):
        finetune(classifier, [], epochs=1, schedule="constant")


def test_one_cycle_climbs_and_falls_while_cosine_only_falls() -> None:
    one_cycle = [rate_at(i / 100, 1.0, "one-cycle") for i in range(101)]
    assert one_cycle[0] == pytest.approx(1 / 25)
    assert max(one_cycle) == one_cycle[30] == 1.0
    assert one_cycle[100] == pytest.approx(0)
    cosine = [rate_at(i / 100, 1.0, "cosine") for i in range(101)]
    assert cosine == sorted(cosine, reverse=True)
    assert cosine[0] == 1.0
    assert cosine[50] == pytest.approx(0.5)


# --- augmentation ---


def test_crop_shifts_each_image_as_a_whole() -> None:
    torch.manual_seed(0)
    image = torch.arange(16 * 16.0).view(1, 1, 16, 16)
    offsets = set()
    for moved in augmented(image.expand(64, 2, 16, 16), "crop"):
        assert torch.equal(moved[0], moved[1])
        inside = moved[0, 2:-2, 2:-2]  # a margin of 2 = 16 / 8
        assert torch.equal(inside - inside[0, 0], image[0, 0, 2:-2, 2:-2] - image[0, 0, 2, 2])
        offsets.add(int(inside[0, 0] - image[0, 0, 2, 2]))
    assert offsets <= {16 * dy + dx for dy in range(-2, 3) for dx in range(-2, 3)}
    assert len(offsets) > 15


def test_flip_mirrors_about_half_of_the_images() -> None:
    torch.manual_seed(0)
    ramp = torch.arange(16.0).expand(200, 1, 16, 16)
    flips = (augmented(ramp, "flip-crop").diff(dim=3) < 0).any(dim=3)[:, 0, 0]
    assert 70 < int(flips.sum()) < 130


def test_only_images_are_augmented() -> None:
    with pytest.raises(DataError, match=r"not inputs of shape \[2, 3\]"):
        augmented(torch.zeros(2, 3), "crop")
    assert augmented(torch.zeros(2, 3), "none").shape == (2, 3)
