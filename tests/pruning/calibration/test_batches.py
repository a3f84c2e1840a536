"""Networks that take their inputs by name, in a dictionary, or with others between: each input reaches its argument."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gnnrl
from gnnrl.errors import ConfigError, DataError, EvaluationError
from gnnrl.pruning.calibration.batches import Feed, gather
from gnnrl.pruning.calibration.dense import calibrate


class Two(nn.Module):
    """Takes an optional input between two that it needs."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.body, self.head = nn.Linear(4, 12), nn.Linear(6, 12), nn.Linear(12, 16), nn.Linear(16, 3)
        self.seen: set[tuple[bool, bool]] = set()

    def forward(self, a: Tensor, mask: Tensor | None = None, b: Tensor | None = None) -> Tensor:
        assert b is not None
        self.seen.add((mask is None, b.shape[1] == 6))
        return self.head((self.body((self.a(a) + self.b(b)).relu())).relu())


class Named(Two):
    """Takes its inputs by name alone."""

    def forward(self, *, a: Tensor, b: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(a, b=b)


class Whole(Two):
    """Takes all inputs in one dictionary."""

    def forward(self, batch: dict[str, Tensor]) -> Tensor:  # type: ignore[override]
        return super().forward(batch["a"], b=batch["b"])


A, B, Y = torch.randn(32, 4), torch.randn(32, 6), torch.arange(32) % 3
NAMES = {"a": A[:2], "b": B[:2]}
CASES: dict[str, tuple[type[Two], Any]] = {
    "optional": (Two, NAMES),
    "named": (Named, NAMES),
    "whole": (Whole, (NAMES,)),
}
BATCHES = {
    "tuples": [(A, B, Y)],
    "tuples without labels": [(A, B)],
    "dictionaries": [{"b": B, "a": A, "labels": Y}],
    "dictionaries without labels": [{"b": B, "a": A}],
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("batches", BATCHES)
def test_calibration_gives_each_input_to_its_argument(case: str, batches: str) -> None:
    kind, example = CASES[case]
    model = kind().eval()
    record = calibrate(model, BATCHES[batches], example_inputs=example)

    assert model.seen == {(True, True)}
    assert (record.labels is None) == ("without" in batches)
    torch.testing.assert_close(record.inputs, (A, B))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("importance", ["curves", "taylor"])
def test_a_network_of_named_inputs_is_compressed(case: str, importance: str) -> None:
    kind, example = CASES[case]
    model, feed = kind(), Feed.like(example)

    def evaluate(small: nn.Module) -> float:
        return float((feed.run(small, (A, B)).argmax(1) == Y).float().mean())

    data = [{"a": A, "b": B, "y": Y}]
    result = gnnrl.compress(
        model, example, "macs<=60%", evaluate=evaluate, calibration=data, importance=importance, searcher="curves"
    )

    assert feed.run(result.model, (A, B)).shape == (32, 3)


def test_what_is_missing_in_a_dictionary_is_named() -> None:
    with pytest.raises(DataError, match=r"calibration batches have no 'b'.* there are 'a', 'y'"):
        calibrate(Two(), [{"a": A, "y": Y}], example_inputs=NAMES)
    with pytest.raises(DataError, match=r"\(x1, x2, ..., y\), or dictionaries"):
        calibrate(nn.Linear(4, 3), [{"a": A, "y": Y}], example_inputs=A)


def test_batches_do_not_judge_a_network_of_names() -> None:
    with pytest.raises(ConfigError, match="give evaluate and test as functions"):
        gnnrl.compress(Two(), NAMES, "macs<=60%", evaluate=[(A, B, Y)], calibration=[(A, B, Y)])


@pytest.mark.parametrize(
    ("test", "error", "said"),
    [
        ([(A, Y + 9)], DataError, "test: labels"),
        ([(B, Y)], DataError, "test: the network cannot take its first batch"),
        ([{"x": A}], DataError, "test: batches must be"),
        ([(A * float("nan"), Y)], EvaluationError, "test: the network's outputs are NaN"),
    ],
)
def test_wrong_test_data_are_refused_before_the_search(test: Any, error: type[Exception], said: str) -> None:
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    judged: list[nn.Module] = []

    def evaluate(small: nn.Module) -> float:
        judged.append(small)
        return 0.0

    with pytest.raises(error, match=said):
        gnnrl.compress(model, A[:1], "macs<=60%", evaluate=evaluate, calibration=[A], test=test)
    assert not judged


def test_a_network_compressed_within_inference_mode_can_be_trained_after_it() -> None:
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    with torch.inference_mode():
        data = torch.randn(16, 4)
        result = gnnrl.compress(
            model, data[:1], "macs<=60%", evaluate=lambda small: 0.0, calibration=[data], searcher="curves"
        )

    outputs = result.model.train()(A)
    outputs.sum().backward()  # type: ignore[no-untyped-call]

    assert not any(parameter.is_inference() for parameter in result.model.parameters())
    assert all(parameter.grad is not None for parameter in result.model.parameters())
    assert outputs.shape == (32, 3)


class Conditioned(nn.Module):
    """Takes a number, a flag, and positions that all samples share."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.head = nn.Linear(4, 12), nn.Linear(12, 3)

    def forward(self, a: Tensor, step: int = 0, ids: Tensor | None = None, loud: bool = False) -> Tensor:
        assert ids is not None
        assert ids.shape == (5, 3)
        assert step == 7
        return self.head((self.a(a) * step).relu() + ids.mean() + loud)


IDS = torch.ones(5, 3)


@pytest.mark.parametrize(
    ("batch", "labelled"),
    [
        ({"a": A, "step": 7, "ids": IDS, "loud": True}, False),
        ({"a": A.tolist(), "step": 9, "text": ["?"] * 32, "labels": Y.tolist()}, True),
        ((A, IDS, Y), True),
        ((A, IDS), False),
        ((A, Y), True),
        ((A, [{"boxes": A}] * 32), False),
        (A, False),
    ],
    ids=["dictionary", "lists", "all tensors", "without labels", "labels", "boxes", "tensor"],
)
def test_numbers_flags_and_what_samples_share_are_those_of_the_example(batch: Any, labelled: bool) -> None:
    inputs, labels = gather([batch], 32, Conditioned(), {"a": A[:2], "step": 7, "ids": IDS, "loud": True})

    assert [value.shape for value in inputs] == [(32, 4)]
    assert torch.equal(labels, Y) if labelled and labels is not None else labels is None and not labelled
    assert Feed.like({"a": A[:2], "step": 7, "ids": IDS, "loud": True}).run(Conditioned(), inputs).shape == (32, 3)


def test_single_samples_in_dictionaries_are_joined() -> None:
    data = [{"a": row.tolist(), "label": int(label), "text": "?"} for row, label in zip(A, Y, strict=True)]

    inputs, labels = gather(data, 20, Two(), {"a": A[:2]})

    assert len(inputs) == 1
    torch.testing.assert_close(inputs[0], A[:20])
    assert labels is not None
    assert torch.equal(labels, Y[:20])
