from typing import get_args

import pytest

from gnnrl.cli import jobs, options, training
from gnnrl.pruning.importance import CRITERIA
from gnnrl.pruning.reconstruction import REPAIRS
from gnnrl.searchers.table import SEARCHERS
from gnnrl.training import Metric
from gnnrl.zoo.batches import Augmentation

pytestmark = pytest.mark.usefixtures("folder")


def test_choices_are_those_of_the_library() -> None:
    assert tuple(SEARCHERS) == options.SEARCHERS
    assert set(get_args(jobs.Importance)) == {"curves", *CRITERIA}
    assert set(get_args(jobs.Repair)) == set(REPAIRS)
    assert set(get_args(jobs.Metric)) == set(get_args(Metric))
    assert set(get_args(training.Augmentation)) == set(get_args(Augmentation))
