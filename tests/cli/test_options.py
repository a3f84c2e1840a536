from typing import get_args

import pytest

from gnnrl.cli import options
from gnnrl.cli import training_options as tuning_options
from gnnrl.pruning.importance import CRITERIA
from gnnrl.pruning.reconstruction import REPAIRS
from gnnrl.searchers.table import SEARCHERS
from gnnrl.training import Metric
from gnnrl.zoo.batches import Augmentation

pytestmark = pytest.mark.usefixtures("folder")


def test_choices_are_those_of_the_library() -> None:
    assert tuple(SEARCHERS) == options.SEARCHERS
    assert set(get_args(options.Importance)) == {"curves", *CRITERIA}
    assert set(get_args(options.Repair)) == set(REPAIRS)
    assert set(get_args(options.Metric)) == set(get_args(Metric))
    assert set(get_args(tuning_options.Augmentation)) == set(get_args(Augmentation))
