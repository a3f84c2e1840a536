import pytest
import torch
from torch import nn

from gnnrl.cli import speed
from gnnrl.cli.speed import measure_speed, time_block


def test_a_few_calls_warm_up_and_no_more_are_timed_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(speed, "_MOST", 5)

    assert len(time_block(lambda: calls.append(1), torch.device("cpu"))) == 5
    assert len(calls) == speed._WARM_UP + 5


def test_slow_calls_end_with_the_time_they_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "perf_counter", iter(range(100)).__next__)

    assert time_block(lambda: None, torch.device("cpu")) == [1]


def test_networks_take_turns_on_copies_of_their_own_and_the_best_block_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    class Counted(nn.Module):
        def __init__(self, name: int) -> None:
            super().__init__()
            self.name = name

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append((self.name, len(x)))
            return x

    def block(call, device):
        call()
        return [1.0 / len(seen)]

    monkeypatch.setattr(speed, "time_block", block)
    latency, rate = measure_speed({"dense": Counted(1), "pruned": Counted(2)}, torch.zeros(3, 4), "cpu")

    assert seen == [(1, 1), (2, 1)] * 4 + [(1, 64), (2, 64)] * 4
    assert latency == {"dense": round(1e3 / 7, 4), "pruned": round(1e3 / 8, 4)}
    assert rate == {"dense": 64 * 15.0, "pruned": 64 * 16.0}
