"""A fine-tuning that was interrupted goes on to the same weights, bit for bit."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from gnnrl.errors import ArtifactError, ConfigError, ResourceError, RunWarning
from tests.storage.disks import full_disk
from tests.training.pictures import EPOCHS, network, pictures, tuned, weights

EXTRAS: dict[str, dict[str, Any]] = {
    "plain": {},
    "augmented": {"augment": "flip-crop", "label_smoothing": 0.1},
    "averaged": {"ema": 0.9},
    "distilled": {"teacher": network(7), "distill": 0.5, "temperature": 2.0},
    "watched": {"held_out": pictures(20, seed=2), "patience": 2},
    "all": {"ema": 0.9, "teacher": network(7), "distill": 0.5, "held_out": pictures(20, seed=2), "schedule": "cosine"},
}


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("stop", [1, 6, 7, 16, 23])
def test_training_goes_on_to_the_same_weights(extra: str, stop: int, tmp_path: Path) -> None:
    unbroken, expected = tuned(**EXTRAS[extra])
    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path / "snapshots", stop, **EXTRAS[extra])
    torch.manual_seed(99)
    model, result = tuned(tmp_path / "snapshots", **EXTRAS[extra])

    assert weights(model) == weights(unbroken)
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
    assert weights(tuned(tmp_path, data=loader())[0]) == weights(unbroken)


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    unbroken, _ = tuned(tmp_path)
    model, result = tuned(tmp_path, stop=1)
    assert weights(model) == weights(unbroken)
    assert len(result.history) == EPOCHS


def test_a_damaged_snapshot_costs_one_epoch_and_changes_nothing(tmp_path: Path) -> None:
    unbroken, _ = tuned()
    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path, 20)
    newest = max(tmp_path.glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-5])
    with pytest.warns(RunWarning, match="snapshot 3 is damaged"):
        model, _ = tuned(tmp_path)
    assert weights(model) == weights(unbroken)


@pytest.mark.parametrize("change", [{"learning_rate": 0.2}, {"epochs": 5}, {"seed": 4}, {"model": network(5)}])
def test_snapshots_of_another_training_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    tuned(tmp_path)
    with pytest.raises(ConfigError, match="started with other weights or settings"):
        tuned(tmp_path, **change)


def test_a_full_disk_keeps_what_was_trained(tmp_path: Path) -> None:
    unbroken, _ = tuned()
    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path, 8)
    with full_disk(500), pytest.raises(ResourceError, match="free space"):
        tuned(tmp_path)
    assert weights(tuned(tmp_path)[0]) == weights(unbroken)


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
    assert weights(model) == weights(unbroken)


def test_a_snapshot_of_another_shape_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned(tmp_path, ema=0.9)
    monkeypatch.setattr("gnnrl.training.finetuning.beginning", lambda *_: "the same")
    tuned(tmp_path / "other")
    with pytest.raises(ArtifactError, match="does not fit the network"):
        tuned(tmp_path / "other", ema=0.9)
