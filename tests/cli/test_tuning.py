"""What is refused before a result is trained further."""

from pathlib import Path

import pytest

from gnnrl.cli.inputs import Source
from gnnrl.cli.training import Tuning
from gnnrl.cli.tuning import check_tuning
from gnnrl.errors import ConfigError


def tuning(saved: Path, out: Path, **more: object) -> Tuning:
    settings = {"source": Source(model="digits-resnet"), "data": "digits", "result": saved, "out": out} | more
    return Tuning(**settings)  # type: ignore[arg-type]


def test_a_teacher_needs_weights_and_a_student_does_not(saved: Path, tmp_path: Path) -> None:
    check_tuning(tuning(saved, tmp_path / "out"))
    with pytest.raises(ConfigError, match="--distill needs the dense network's weights"):
        check_tuning(tuning(saved, tmp_path / "out", distill=0.5))


def test_a_place_that_is_taken_is_refused_before_anything_is_read(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").touch()

    with pytest.raises(ConfigError, match="not empty"):
        check_tuning(tuning(saved, tmp_path / "taken"))
