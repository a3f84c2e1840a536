"""What a worker answers: a judgement, or why there is none, in a form that other processes can read."""

import pickle
import traceback
from dataclasses import dataclass

from gnnrl.errors import EvaluationError
from gnnrl.scoring.plans import Judge, Judgement, Widths


class WorkerTraceback(Exception):
    """Where an error came from in the worker: the cause of the error that is raised here."""

    def __str__(self) -> str:
        return f"in a worker\n{self.args[0]}"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of a worker, and its traceback as a text."""

    error: Exception
    traceback: str = ""

    def raised(self) -> Exception:
        """The error, to be raised here."""
        if self.traceback:
            self.error.__cause__ = WorkerTraceback(self.traceback)
        return self.error


Outcome = Judgement | Failure


def outcome_of(judge: Judge, plan: Widths) -> Outcome:
    """Judge a plan, whatever happens.

    An error that could not be unpickled elsewhere becomes an `EvaluationError` of the same text.
    """
    try:
        return judge(plan)
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        try:
            copied = pickle.loads(pickle.dumps(error))
        except Exception:
            copied = None
        told = f"judging widths {list(plan)} failed: {type(error).__name__}: {error}"
        return Failure(copied if type(copied) is type(error) else EvaluationError(told), text)
