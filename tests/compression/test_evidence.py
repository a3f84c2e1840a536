"""What is measured of the dense network: criteria, curves, calibration."""

import pytest

from tests.compression.tiny import compressed


@pytest.mark.parametrize("importance", ["curves", "l1", "l2", "bn_scale", "taylor", "random"])
def test_every_criterion_chooses_units(importance: str) -> None:
    assert compressed(importance=importance).plan.kept is not None


def test_without_calibration_there_is_magnitude_and_no_repair() -> None:
    result = compressed(calibration=None, importance="l2", repair="none")

    assert result.score["pruned"] == result.score["repaired"]


def test_error_curves_tell_how_far_they_are() -> None:
    told: list[tuple[int, int]] = []
    result = compressed(on_calibration=lambda done, total: told.append((done, total)))
    channels = sum(group.size for group in result.network.groups)
    assert told[-1] == (channels, channels)
    assert told == sorted(told)
    assert len(told) > len(result.network.groups)
