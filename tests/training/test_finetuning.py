"""Fine-tuning: what is learnt, what stays as it is, and what is refused."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from gnnrl.errors import ConfigError, DataError, EvaluationError
from gnnrl.training import evaluator, finetune, top1
from gnnrl.zoo.data import load_data
from gnnrl.zoo.digits import DIGITS_MEAN, DIGITS_STD
from gnnrl.zoo.models import resolve_model
from tests.scoring.blobs import equal, state
from tests.training.pictures import pictures, tuned, weights


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
    steps: list[tuple[int, int]] = []
    data = TensorDataset(*blobs[:41])  # BatchNorm would fail on one sample
    result = finetune(classifier, data, epochs=1, batch_size=20, on_progress=lambda *step: steps.append(step[:2]))

    assert steps == [(1, 3), (2, 3)]
    assert [epoch.number for epoch in result.history] == [1]


def test_batches_of_one_sample_are_trained_on_where_the_network_can(blobs: TensorDataset) -> None:
    model = nn.Linear(2, 2)
    finetune(model, DataLoader(TensorDataset(*blobs[:100]), 1), epochs=1, learning_rate=0.1)
    assert evaluator(blobs)(model) > 0.95


def test_stream_without_a_length_needs_a_constant_rate(blobs: TensorDataset, classifier: nn.Module) -> None:
    class Stream:
        def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
            return iter(DataLoader(blobs, 50))

    with pytest.raises(ConfigError, match="'one-cycle' needs the number of batches"):
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


def test_no_data_to_train_on_is_an_error(classifier: nn.Module) -> None:
    with pytest.raises(DataError, match="no batches to train on"):
        finetune(classifier, [], epochs=1, schedule="constant")


def test_training_stops_when_what_is_held_out_does_not_get_better() -> None:
    data = pictures()
    opposite = TensorDataset(data.tensors[0], (data.tensors[1] + 1) % 5)
    model, result = tuned(held_out=opposite, patience=2, epochs=30)
    losses = [epoch.held_out or 0.0 for epoch in result.history]
    assert result.stopped
    assert len(losses) == losses.index(min(losses)) + 3
    other, _ = tuned(held_out=opposite, epochs=30)
    assert len(losses) < 30
    assert weights(model) == weights(other), "the best epoch is kept in both"
