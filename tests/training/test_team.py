"""Several processes train one network: as one would, together to the end, and on from where they were."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from gnnrl.training.team import Team
from tests.training.processes import SIZE, torchrun
from tests.training.team_work import WORKS, outcome

ENDED = ("begun", "broken", "damaged", "different", "killed")
"""Works that raise an error."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes made of all works."""
    found = tmp_path_factory.mktemp("team")
    done = torchrun("-m", "tests.training.team_work", str(found))
    assert done.returncode == 0, done.stderr[-3000:]
    assert not re.search(r"[a-z]Warning", done.stderr), done.stderr[-3000:]
    return found


def told(folder: Path, name: str, rank: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}-{rank}.json").read_text())
    return found


def weights(folder: Path, name: str, rank: int = 0) -> dict[str, Tensor]:
    return load_file(folder / f"{name}-{rank}.safetensors")


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["plain", "odd", "pairs", "loader", "distilled"])
def test_two_processes_give_the_weights_of_one(name: str, folder: Path) -> None:
    """Half of each batch in each; also batches of odd sizes, a leftover sample, a user's dataset and loader."""
    expected, state = outcome(name, folder)
    assert_close(weights(folder, name), state)
    found = told(folder, name)
    for ours, theirs in zip(found["epochs"], expected["epochs"], strict=True):
        assert [x or 0 for x in ours] == pytest.approx([x or 0 for x in theirs], rel=1e-4)


@pytest.mark.parametrize("name", [name for name in WORKS if name not in ENDED])
def test_all_processes_have_the_same_weights(name: str, folder: Path) -> None:
    first, second = weights(folder, name, 0), weights(folder, name, 1)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert told(folder, name, 0) == told(folder, name, 1)


def test_a_batch_too_small_for_all_is_normalised_by_some(folder: Path) -> None:
    """The last batch has three samples: one process computes them, since a single one has no variance."""
    found = told(folder, "three")
    assert len(found["epochs"]) == 2
    assert all(tensor.isfinite().all() for tensor in weights(folder, "three").values())


def test_running_statistics_are_those_of_all_samples(folder: Path) -> None:
    """Each process sees half of each batch; the means of the halves' means are the means of the batches."""
    _, state = outcome("normalised", folder)
    found = weights(folder, "normalised")
    torch.testing.assert_close(found["1.running_mean"], state["1.running_mean"], rtol=0.3, atol=0.1)
    assert not torch.equal(found["1.weight"], state["1.weight"])


@pytest.mark.parametrize(("name", "rank"), [("begun", 1), ("broken", 0)])
def test_what_interrupts_one_process_ends_all(name: str, rank: int, folder: Path) -> None:
    assert told(folder, name, rank)["error"] == "KeyboardInterrupt"
    assert told(folder, name, 1 - rank)["error"] == "KeyboardInterrupt"


def test_two_processes_go_on_to_the_same_weights(folder: Path) -> None:
    """Also where batches are normalised, images shifted and units dropped: random numbers go on, too."""
    for whole, parts in (("plain", "resumed"), ("bounded", "mended")):
        expected, found = weights(folder, whole), weights(folder, parts)
        assert all(torch.equal(expected[key], found[key]) for key in expected)
        assert told(folder, whole) == told(folder, parts)


def test_one_process_goes_on_with_what_two_began(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    for path in (folder / "plain").glob("000001.*"):
        (tmp_path / "plain" / path.name).write_bytes(path.read_bytes())
    found, state = outcome("resumed", tmp_path)
    assert found["epochs"][0] == tuple(told(folder, "plain")["epochs"][0])
    assert_close(state, weights(folder, "plain"))


def test_all_stop_where_the_loss_of_one_is_not_finite(folder: Path) -> None:
    found = told(folder, "poisoned")
    assert found["diverged"]
    assert len(found["epochs"]) == 1
    _, state = outcome("poisoned", folder)
    assert_close(weights(folder, "poisoned"), state)


def test_what_is_wrong_in_one_process_is_said_by_all(folder: Path) -> None:
    first, second = told(folder, "damaged", 0), told(folder, "damaged", 1)
    assert first["error"] == second["error"] == "DataError"
    assert first["message"].startswith("process 1 of 2: image ")
    assert second["message"].startswith("image ")


def test_batches_that_differ_between_processes_are_refused(folder: Path) -> None:
    for rank in range(SIZE):
        assert "were given different batches" in told(folder, "different", rank)["message"]


def test_a_process_that_is_lost_is_noticed(folder: Path) -> None:
    found = told(folder, "killed")
    assert found["error"] == "ResourceError"
    assert "another of the 2 processes has ended" in found["message"]


def test_alone_nothing_is_told_and_errors_are_raised_at_once() -> None:
    team = Team()
    assert (team.size, team.rank, team.total(1.5, 2.0)) == (1, 0, (1.5, 2.0))
    with pytest.raises(ZeroDivisionError), team.attempt():
        _ = 1 / 0
