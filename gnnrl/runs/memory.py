"""The journal of a search: a search that runs again takes its scores from there until they are used up, then goes on.

A searcher is a function of its task, its seed and the scores, so the result is that of a search which was never
interrupted, to the last bit, whatever the searcher is and keeps in mind. Records:

    {"kind":"search","evaluations":150}                                  evaluations in all, from here on
    {"kind":"trial","number":0,"widths":[...],"score":...,"macs":...,"seconds":...}
    {"kind":"failure","number":7,"widths":[...],"error":"..."}           judged again when the run goes on
"""

import math
from typing import Any

from gnnrl.errors import ArtifactError, ConfigError, GnnrlError
from gnnrl.runs.directory import TIMES, RunDirectory
from gnnrl.scoring.plans import Trial
from gnnrl.storage.journal import Journal, Record

_SEARCH, _TRIAL, _FAILURE = "search", "trial", "failure"


class SearchMemory:
    """What a run directory remembers of a search; see `gnnrl.scoring.plans.Memory`.

    Args:
        run: the directory.

    Attributes:
        trials: those of earlier processes.

    Raises:
        ArtifactError: the journal holds something else.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self.trials = read_trials(run.journal)

    def budgets(self, evaluations: int) -> list[int]:
        """Evaluations in all at the end of each search of the run: one, and another each time they were raised.

        Raises:
            ConfigError: the run was started with more evaluations.
        """
        found = [_whole(record, "evaluations") for record in self._run.journal.records if record["kind"] == _SEARCH]
        if found and evaluations < found[-1]:
            raise ConfigError(
                f"{self._run.path} was started with {found[-1]} evaluations, more than {evaluations}; they can only be "
                "raised"
            )
        if not found or evaluations > found[-1]:
            self._run.journal.append(_SEARCH, evaluations=evaluations)
            found.append(evaluations)
        return found

    def recall(self, number: int, widths: tuple[int, ...]) -> Trial | None:
        """The trial of this number.

        Raises:
            ArtifactError: another plan was judged then.
        """
        if number >= len(self.trials):
            return None
        trial = self.trials[number]
        if trial.widths != widths:
            raise ArtifactError(
                f"{self._run.path}: the search asks for another plan than the journal's {self._why(number)}"
            )
        return trial

    def record(self, trial: Trial) -> None:
        """Write a trial down."""
        self._run.journal.append(
            _TRIAL,
            number=trial.number,
            widths=list(trial.widths),
            score=trial.score,
            macs=trial.macs,
            seconds=trial.seconds,
        )

    def fail(self, number: int, widths: tuple[int, ...], error: GnnrlError) -> None:
        """Write down that a plan could not be judged."""
        self._run.journal.append(_FAILURE, number=number, widths=list(widths), error=str(error))

    def check_used(self, judged: int) -> None:
        """Refuse a search that ended before the journal's trials were used up.

        Raises:
            ArtifactError: it did.
        """
        if judged < len(self.trials):
            raise ArtifactError(f"{self._run.path}: the search ends before the journal's {self._why(judged)}")

    def _why(self, number: int) -> str:
        versions = ", ".join(self._run.differing_versions())
        cause = f"since then: {versions}" if versions else "is the searcher a function of task and seed alone?"
        return f"evaluation {number + 1} ({cause}); go on where it began, or start again in another directory"


def read_trials(journal: Journal) -> list[Trial]:
    """All trials of a journal.

    Raises:
        ArtifactError: a record is none of a search, or trials are not numbered in order.
    """
    trials: list[Trial] = []
    for line, record in enumerate(journal.records, 1):
        if record["kind"] == _TRIAL:
            try:
                trial = _trial(record)
            except (KeyError, TypeError, ValueError) as error:
                raise ArtifactError(f"{journal.path}: line {line} is no trial: {error}") from error
            if trial.number != len(trials):
                raise ArtifactError(f"{journal.path}: line {line} is trial {trial.number}, not {len(trials)}")
            trials.append(trial)
        elif record["kind"] not in (_SEARCH, _FAILURE, TIMES):
            raise ArtifactError(f"{journal.path}: line {line} is {record['kind']!r}, which no search writes")
    return trials


def _trial(record: Record) -> Trial:
    widths = record["widths"]
    if not isinstance(widths, list) or not all(type(width) is int and width > 0 for width in widths):
        raise ValueError("widths must be positive whole numbers")
    score, seconds = (_number(record[name]) for name in ("score", "seconds"))
    return Trial(_whole(record, "number"), tuple(widths), score, _whole(record, "macs"), seconds)


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return float(value)


def _whole(record: Record, name: str) -> int:
    value = record.get(name)
    if type(value) is not int or value < 0:
        raise ArtifactError(f"a {record['kind']} of the journal has {name} {value!r}; it must be a whole number")
    return value
