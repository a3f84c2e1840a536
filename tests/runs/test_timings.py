"""A run that limits latency goes on with the times that it measured first, and ends as one that never stopped."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gnnrl
from gnnrl.compression import timing
from gnnrl.compression.study import Study
from gnnrl.errors import ArtifactError, ConfigError
from gnnrl.latency.ledger import Measured
from gnnrl.pruning.rules import WidthRules
from gnnrl.runs.directory import RunDirectory
from gnnrl.runs.timings import ledger_of, read_times
from tests.compression.tiny import batches, near
from tests.latency.machine import counting_clock
from tests.runs.searches import model, outcome, search
from tests.topologies import images, traced

LIMIT = "latency<=60%"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine whose time is its multiply-accumulates; a function says what may be timed from then on."""
    originals = {name: getattr(timing, name) for name in ("measure_latency", "time_plans")}

    def fail() -> float:
        pytest.fail("was timed again")

    with counting_clock() as clock:

        def let(*, layers: bool, networks: bool) -> None:
            for name, allowed in zip(originals, (layers, networks), strict=True):
                monkeypatch.setattr(timing, name, partial(originals[name], clock=clock if allowed else fail))

        let(layers=True, networks=True)
        yield let


def limited(run: Path | None = None, **settings: Any) -> gnnrl.CompressionResult:
    return search(run, constraint=LIMIT, rules=WidthRules(round_to=1), **{"episodes": 4, **settings})


def test_a_run_goes_on_with_its_first_times_and_ends_as_if_it_had_never_stopped(machine: Any, tmp_path: Path) -> None:
    unbroken = limited()
    with pytest.raises(KeyboardInterrupt):
        limited(tmp_path / "run", stop=3)
    machine(layers=False, networks=True)
    found = limited(tmp_path / "run")

    assert outcome(found) == outcome(unbroken)
    assert found.latency is not None
    assert unbroken.latency is not None
    assert found.latency.facts() == pytest.approx(unbroken.latency.facts())


def test_a_run_whose_search_is_over_times_nothing_again(machine: Any, tmp_path: Path) -> None:
    unbroken = limited(tmp_path / "run")
    machine(layers=False, networks=False)
    again = limited(tmp_path / "run")

    assert outcome(again) == outcome(unbroken)
    assert again.latency == unbroken.latency
    settings = tmp_path / "run" / "settings.json"
    found = json.loads(settings.read_text())
    found["identity"]["network"] = "another"
    settings.write_text(json.dumps(found))
    with pytest.raises(ConfigError, match="was started on something else: network"):
        limited(tmp_path / "run")


def test_a_run_of_a_sweep_goes_on_without_what_the_sweep_knew(machine: Any, tmp_path: Path) -> None:
    judge = near(model())
    known = Study(
        model(),
        images(),
        evaluate=judge,
        calibration=batches(),
        rules=WidthRules(round_to=1),
        network=traced("residual").network,
    )
    goal = known.goals(["macs<=70%", LIMIT, "latency<=50%"])[1]
    with RunDirectory(tmp_path / "run") as directory:
        swept = known.compress(goal, run=directory, searcher="evolution", episodes=4)
    machine(layers=False, networks=False)
    alone = limited(tmp_path / "run", evaluate=judge)

    assert outcome(alone) == outcome(swept)


def test_a_run_that_only_measured_is_empty(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run") as directory:
        assert directory.is_empty
        ledger_of(directory).seconds("layers", 1, lambda: np.array([1.0]))
        assert directory.is_empty
        directory.journal.append("search", evaluations=3)
        assert not directory.is_empty


def test_times_are_known_in_their_order_to_the_bit(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((3, 4))
    with RunDirectory(tmp_path / "run") as directory:
        ledger = ledger_of(directory)
        for row in values:
            assert np.array_equal(ledger.seconds("plans", 4, lambda row=row: row), row)
    with RunDirectory(tmp_path / "run") as directory:
        ledger = ledger_of(directory, [Measured("other", (1.0,))])
        for row in values:
            assert np.array_equal(ledger.seconds("plans", 4, lambda: pytest.fail("was measured again")), row)
        assert ledger.seconds("plans", 1, lambda: np.array([7.0])) == 7
        with pytest.raises(ArtifactError, match="4 times are known for 2 measurements"):
            ledger_of(directory).seconds("plans", 2, lambda: np.ones(2))


@pytest.mark.parametrize(
    "record",
    [{}, {"of": "x"}, {"of": 3, "seconds": [1]}, {"of": "x", "seconds": []}, {"of": "x", "seconds": 1}]
    + [{"of": "x", "seconds": [value]} for value in (0, -1.0, "1", True, None, [1.0])],
)
def test_times_that_are_none_are_refused(record: dict[str, Any], tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run") as directory:
        directory.journal.append("times", **record)

        with pytest.raises(ArtifactError, match="line 1 is not a valid entry of kind 'times'"):
            read_times(directory.journal)
