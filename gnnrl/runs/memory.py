"""The trials of a search in its journal: a resumed search reads its first scores there, then computes new ones.

A searcher is a function of its task, its seed and the scores. So a resumed search ends with the result of an
uninterrupted one, bit for bit, whatever the searcher is. Entries:

    {"kind":"search","evaluations":150}                                  evaluations in all, from here on
    {"kind":"trial","number":0,"widths":[...],"score":...,"macs":...,"seconds":...}
    {"kind":"failure","number":7,"widths":[...],"error":"..."}           scored again when the run is resumed
"""

import math
from typing import Any

from gnnrl.errors import ArtifactError, ConfigError, GnnrlError
from gnnrl.runs.directory import TIMES, RunDirectory
from gnnrl.scoring.plans import Trial
from gnnrl.storage.journal import Journal, Record

_SEARCH, _TRIAL, _FAILURE = "search", "trial", "failure"


class SearchMemory:
    """The trials of the earlier sessions of a run; see `gnnrl.scoring.plans.Memory`."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self.trials = read_trials(run.journal)

    def budgets(self, evaluations: int) -> list[int]:
        """Return the number of evaluations of the run and those that it was raised to; it cannot be lowered."""
        found = [_whole(record, "evaluations") for record in self._run.journal.records if record["kind"] == _SEARCH]
        if found and evaluations < found[-1]:
            raise ConfigError(
                f"{self._run.path} was started with {found[-1]} evaluations, more than {evaluations}; the number can "
                "only be raised"
            )
        if not found or evaluations > found[-1]:
            self._run.journal.append(_SEARCH, evaluations=evaluations)
            found.append(evaluations)
        return found

    def recall(self, number: int, widths: tuple[int, ...]) -> Trial | None:
        """Return the trial of this number, None if there is none yet; raise ArtifactError if it has another plan."""
        if number >= len(self.trials):
            return None
        trial = self.trials[number]
        if trial.widths != widths:
            raise ArtifactError(
                f"{self._run.path}: the search proposes another plan than the journal has in {self._why(number)}"
            )
        return trial

    def record(self, trial: Trial) -> None:
        """Record a trial."""
        self._run.journal.append(
            _TRIAL,
            number=trial.number,
            widths=list(trial.widths),
            score=trial.score,
            macs=trial.macs,
            seconds=trial.seconds,
        )

    def fail(self, number: int, widths: tuple[int, ...], error: GnnrlError) -> None:
        """Record that a plan could not be scored."""
        self._run.journal.append(_FAILURE, number=number, widths=list(widths), error=str(error))

    def check_used(self, scored: int) -> None:
        """Raise ArtifactError if the search ended before it used every trial in the journal."""
        if scored < len(self.trials):
            raise ArtifactError(f"{self._run.path}: the search ended before the journal's {self._why(scored)}")

    def _why(self, number: int) -> str:
        versions = ", ".join(self._run.differing_versions())
        cause = f"changed since then: {versions}" if versions else "is the searcher a function of task and seed alone?"
        return f"evaluation {number + 1} ({cause}); resume it where it was started, or start again in another directory"


def read_trials(journal: Journal) -> list[Trial]:
    """Return all trials of a journal; raise ArtifactError if it is not the journal of a search."""
    for line, record in enumerate(journal.records, 1):
        if record["kind"] not in (_SEARCH, _TRIAL, _FAILURE, TIMES):
            raise ArtifactError(f"{journal.path}: line {line} is {record['kind']!r}, which no search writes")
    trials: list[Trial] = []
    for line, trial in journal.parsed(_TRIAL, _trial):
        if trial.number != len(trials):
            raise ArtifactError(f"{journal.path}: line {line} is trial {trial.number}, not {len(trials)}")
        trials.append(trial)
    return trials


def _trial(record: Record) -> Trial:
    widths = record["widths"]
    if not isinstance(widths, list) or not all(type(width) is int and width > 0 for width in widths):
        raise ValueError("widths must be positive whole numbers")
    score, seconds = (_number(record[name]) for name in ("score", "seconds"))
    return Trial(_whole(record, "number"), tuple(widths), score, _whole(record, "macs"), seconds)


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return float(value)


def _whole(record: Record, name: str) -> int:
    value = record.get(name)
    if type(value) is not int or value < 0:
        raise ArtifactError(f"a {record['kind']} of the journal has {name} {value!r}; it must be a whole number")
    return value
