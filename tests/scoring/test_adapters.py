"""Functions and batches of a user as scores of a network."""

import pickle
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from gnnrl.errors import ConfigError, DataError
from gnnrl.scoring.adapters import as_evaluate, as_test
from gnnrl.scoring.classes import ClassTally
from gnnrl.training import top1


@pytest.fixture
def batches(blobs: TensorDataset) -> list[Any]:
    return [blobs[:120], blobs[120:]]


def test_batches_are_scored_by_top1_here_and_in_other_processes(batches: list[Any], classifier: nn.Module) -> None:
    evaluate = as_evaluate(batches)

    assert evaluate(classifier) == pickle.loads(pickle.dumps(evaluate))(classifier) == top1(classifier, batches)


def test_a_function_is_taken_as_it_is(classifier: nn.Module) -> None:
    def score(model: nn.Module) -> float:
        return 0.5

    assert as_evaluate(score) is score
    assert as_test(score, classifier) is score


@pytest.mark.parametrize(
    ("given", "example_inputs"),
    [(3, None), (iter([]), None), ([], {"x": torch.zeros(1)}), ([], ({"x": torch.zeros(1)},))],
)
def test_what_can_not_score_a_network_twice_is_refused(given: Any, example_inputs: Any) -> None:
    with pytest.raises(ConfigError):
        as_evaluate(given, example_inputs)


def test_test_data_count_the_classes_and_leave_network_and_random_numbers_alone(
    batches: list[Any], classifier: nn.Module
) -> None:
    classifier.train()
    before = torch.get_rng_state()
    test = as_test(batches, classifier)

    assert isinstance(test, ClassTally)
    assert torch.equal(before, torch.get_rng_state())
    assert classifier.training
    assert test(classifier) == top1(classifier, batches)


def test_test_data_that_do_not_fit_are_refused_at_once(classifier: nn.Module) -> None:
    with pytest.raises(DataError, match="test: "):
        as_test([(torch.zeros(2, 5), torch.zeros(2, dtype=torch.int64))], classifier)
