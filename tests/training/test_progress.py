"""A fine-tuning that was interrupted goes on to the same weights, bit for bit; averages, teachers and early ends."""

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from gnnrl.errors import ArtifactError, ConfigError, ResourceError, RunWarning
from gnnrl.training import FinetuneResult, finetune, training_loss
from gnnrl.training.averaging import Average
from tests.storage.test_files import full_disk

EPOCHS = 4


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(8 * 36, 5)
    )


def pictures(count: int = 48, seed: int = 1) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 5
    return TensorDataset(torch.randn(count, 3, 8, 8, generator=generator) + labels[:, None, None, None], labels)


EXTRAS: dict[str, dict[str, Any]] = {
    "plain": {},
    "augmented": {"augment": "flip-crop", "label_smoothing": 0.1},
    "averaged": {"ema": 0.9},
    "distilled": {"teacher": network(7), "distill": 0.5, "temperature": 2.0},
    "watched": {"held_out": pictures(20, seed=2), "patience": 2},
    "all": {"ema": 0.9, "teacher": network(7), "distill": 0.5, "held_out": pictures(20, seed=2), "schedule": "cosine"},
}


def tuned(folder: Path | None = None, stop: int | None = None, **settings: Any) -> tuple[nn.Module, FinetuneResult]:
    """Train from the same start; `stop` is the step after which the process is interrupted."""

    def count(done: int, total: int, loss: float) -> None:
        if done == stop:
            raise KeyboardInterrupt

    model = settings.pop("model", None) or network()
    data = settings.pop("data", None) or pictures()
    given = {"epochs": EPOCHS, "learning_rate": 0.1, "batch_size": 8, "seed": 3} | settings
    return model, finetune(model, data, snapshots=folder, on_progress=count, **given)


def state(model: nn.Module) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("stop", [1, 6, 7, 16, 23])
def test_training_goes_on_to_the_same_weights(extra: str, stop: int, tmp_path: Path) -> None:
    unbroken, expected = tuned(**EXTRAS[extra])
    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path / "snapshots", stop, **EXTRAS[extra])
    torch.manual_seed(99)
    model, result = tuned(tmp_path / "snapshots", **EXTRAS[extra])

    assert state(model) == state(unbroken)
    assert [(e.number, e.loss, e.top1, e.held_out) for e in result.history] == [
        (e.number, e.loss, e.top1, e.held_out) for e in expected.history
    ]
    torch.set_rng_state(before)


def test_a_loader_that_shuffles_goes_on_in_its_order(tmp_path: Path) -> None:
    def loader() -> DataLoader[Any]:
        return DataLoader(pictures(), batch_size=8, shuffle=True)

    unbroken, _ = tuned(data=loader())
    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path, 14, data=loader())
    assert state(tuned(tmp_path, data=loader())[0]) == state(unbroken)


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    unbroken, _ = tuned(tmp_path)
    model, result = tuned(tmp_path, stop=1)
    assert state(model) == state(unbroken)
    assert len(result.history) == EPOCHS


def test_a_damaged_snapshot_costs_one_epoch_and_changes_nothing(tmp_path: Path) -> None:
    unbroken, _ = tuned()
    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path, 20)
    newest = max(tmp_path.glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-5])
    with pytest.warns(RunWarning, match="snapshot 3 is damaged"):
        model, _ = tuned(tmp_path)
    assert state(model) == state(unbroken)


@pytest.mark.parametrize("change", [{"learning_rate": 0.2}, {"epochs": 5}, {"seed": 4}, {"model": network(5)}])
def test_snapshots_of_another_training_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    tuned(tmp_path)
    with pytest.raises(ConfigError, match="began with other weights or settings"):
        tuned(tmp_path, **change)


def test_a_full_disk_keeps_what_was_trained(tmp_path: Path) -> None:
    unbroken, _ = tuned()
    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path, 8)
    with full_disk(500), pytest.raises(ResourceError, match="free space"):
        tuned(tmp_path)
    assert state(tuned(tmp_path)[0]) == state(unbroken)


def test_divergence_is_the_same_after_an_interruption(tmp_path: Path) -> None:
    images, labels = pictures().tensors
    calls: list[int] = []

    class Poisoned:
        """Batches that are infinite from the third epoch on."""

        def __len__(self) -> int:
            return 6

        def __iter__(self) -> Any:
            calls.append(1)
            for batch in zip(images.split(8), labels.split(8), strict=True):
                yield (batch[0] * (math.inf if len(calls) > 2 else 1), batch[1])

    unbroken, expected = tuned(data=Poisoned())
    assert expected.diverged
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path, 9, data=Poisoned())
    calls.pop()
    model, result = tuned(tmp_path, data=Poisoned())
    assert result.diverged
    assert state(model) == state(unbroken)


def test_an_average_follows_its_formula() -> None:
    model = nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    average = Average(model, 0.5)
    expected = 0.0
    for step in range(1, 6):
        torch.nn.init.constant_(model.weight, float(step))
        average.update(model)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert float(average.state["weight"]) == pytest.approx(expected)


def test_an_average_of_weights_that_do_not_change_is_these_weights() -> None:
    model = network()
    average = Average(model, 0.9)
    for _ in range(3):
        average.update(model)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(average.state[name], tensor)


def test_the_network_is_given_its_average() -> None:
    plain, _ = tuned()
    averaged, _ = tuned(ema=0.9)
    assert state(plain) != state(averaged)
    assert averaged.state_dict()["1.num_batches_tracked"] == plain.state_dict()["1.num_batches_tracked"]


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


def test_training_stops_when_what_is_held_out_does_not_get_better() -> None:
    data = pictures()
    opposite = TensorDataset(data.tensors[0], (data.tensors[1] + 1) % 5)
    model, result = tuned(held_out=opposite, patience=2, epochs=30)
    losses = [epoch.held_out or 0.0 for epoch in result.history]
    assert result.stopped
    assert len(losses) == losses.index(min(losses)) + 3
    other, _ = tuned(held_out=opposite, epochs=30)
    assert len(losses) < 30
    assert state(model) == state(other), "the best epoch is kept in both"


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"distill": 0.5}, "distill needs a teacher"),
        ({"distill": 2.0, "teacher": network()}, r"distill must be in \[0, 1\], not 2.0"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"ema": 1.0}, r"ema must be in \[0, 1\)"),
        ({"patience": 3}, "patience needs samples to watch"),
        ({"patience": -1}, "patience must be 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        tuned(**settings)


def test_a_snapshot_of_another_shape_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned(tmp_path, ema=0.9)
    monkeypatch.setattr("gnnrl.training.finetuning.beginning", lambda *_: "the same")
    tuned(tmp_path / "other")
    with pytest.raises(ArtifactError, match="does not fit the network"):
        tuned(tmp_path / "other", ema=0.9)
