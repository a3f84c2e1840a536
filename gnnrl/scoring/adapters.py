"""Functions from a network to its score, made of what a user passes: such a function, or batches."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from gnnrl.errors import ConfigError, DataError, GnnrlError, first_line
from gnnrl.modules.copies import copy_network, device_of
from gnnrl.network.tracing.tracer import as_arguments, unwrapped
from gnnrl.scoring.classes import ClassTally
from gnnrl.scoring.measures import score_batches, top1
from gnnrl.scoring.plans import Evaluate
from gnnrl.zoo.batches import batched


def as_evaluate(given: Evaluate | Iterable[Any], example_inputs: Any = None) -> Evaluate:
    """Return a function from a network to its score, given such a function or batches (x, y) or (x1, x2, ..., y).

    Args:
        example_inputs: the inputs that the network is called with; batches are passed to it by position.

    Raises:
        ConfigError: it is neither, or it is batches for a network that takes its inputs by name.
    """
    if callable(given):
        return given
    if not hasattr(given, "__iter__"):
        raise ConfigError(f"evaluate must be a function of a network or batches (x, y), got {type(given).__name__}")
    if isinstance(given, Iterator):
        raise ConfigError("evaluate and test are read several times; give a loader or a list, not a generator")
    args, kwargs = as_arguments(example_inputs)
    if kwargs or any(isinstance(value, Mapping) for value in args):
        raise ConfigError(
            "batches are passed to a network by position, but this network takes its inputs by name (example_inputs "
            "is a dictionary): give evaluate and test as functions of the network that return its score"
        )
    return partial(score_batches, batches=given)


def as_test(test: Evaluate | Iterable[Any], model: nn.Module, example_inputs: Any = None) -> Evaluate:
    """Return such a function for test data, which also counts each class; refuse a first batch that does not fit."""
    evaluate = as_evaluate(test, example_inputs)
    if callable(test):
        return evaluate
    with torch.random.fork_rng(devices=[]):
        first = next(iter(batched(test, 2)), None)
    try:
        if first is not None:
            top1(copy_network(unwrapped(model)), [first], str(device_of(model)))
    except GnnrlError as error:
        raise type(error)(f"test: {error}") from error
    except Exception as error:
        raise DataError(f"test: the network cannot take its first batch: {first_line(error)}") from error
    return ClassTally(test)


def as_tally(evaluate: Evaluate) -> ClassTally | None:
    """Return top-1 on the labelled batches that a function reads; None for a function of the user's own."""
    if not isinstance(evaluate, partial) or evaluate.func is not score_batches:
        return None
    bound = {name: value for name, value in evaluate.keywords.items() if name in ("device", "precision")}
    return ClassTally(evaluate.keywords["batches"], **bound)


def is_top1(evaluate: Evaluate) -> bool:
    """Return whether a function with an `as_tally` measures the same number."""
    return isinstance(evaluate, partial) and evaluate.keywords.get("measure", top1) is top1
