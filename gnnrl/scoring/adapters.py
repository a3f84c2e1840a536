"""Functions from a network to its score, of what a user gives: such a function, or batches."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from gnnrl.errors import ConfigError, DataError, GnnrlError, first_line
from gnnrl.modules.copies import copy_network
from gnnrl.network.tracing.tracer import as_arguments, unwrapped
from gnnrl.scoring.classes import ClassTally
from gnnrl.scoring.measures import top1
from gnnrl.scoring.plans import Evaluate
from gnnrl.zoo.batches import batched


def as_evaluate(judge: Evaluate | Iterable[Any], example_inputs: Any = None) -> Evaluate:
    """A function from a network to its score, from such a function or from batches (x, y) or (x1, x2, ..., y).

    Args:
        example_inputs: how the network is called; batches are taken one by one, by position.

    Raises:
        ConfigError: neither, or batches for a network that takes its inputs by name.
    """
    if callable(judge):
        return judge
    if not hasattr(judge, "__iter__"):
        raise ConfigError(f"evaluate must be a function of a network or batches (x, y), got {type(judge).__name__}")
    if isinstance(judge, Iterator):
        raise ConfigError("evaluate and test are read several times; give a loader or a list, not a generator")
    args, kwargs = as_arguments(example_inputs)
    if kwargs or any(isinstance(value, Mapping) for value in args):
        raise ConfigError(
            "batches are given to a network by position, and this one takes its inputs by name (example_inputs is a "
            "dictionary): give evaluate and test as functions of the network that return its score"
        )
    return partial(_top1_of, batches=judge)


def as_test(test: Evaluate | Iterable[Any], model: nn.Module, example_inputs: Any = None) -> Evaluate:
    """The same for test data, whose classes are counted as well; a first batch that does not fit is refused.

    Raises:
        ConfigError, DataError, EvaluationError: what is wrong with `test`, before anything is searched.
    """
    judge = as_evaluate(test, example_inputs)
    if callable(test):
        return judge
    with torch.random.fork_rng(devices=[]):
        first = next(iter(batched(test, 2)), None)
    try:
        if first is not None:
            top1(copy_network(unwrapped(model)), [first], str(_device(model)))
    except GnnrlError as error:
        raise type(error)(f"test: {error}") from error
    except Exception as error:
        raise DataError(f"test: the network cannot take its first batch: {first_line(error)}") from error
    return ClassTally(test)


def _top1_of(model: nn.Module, batches: Iterable[Any]) -> float:
    return top1(model, batches, str(_device(model)))


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
