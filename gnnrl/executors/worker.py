"""Functions that run in workers, which may be processes or Ray actors: load the scorer once, then score plans."""

import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import connection, parent_process

import torch

from gnnrl.errors import EvaluationError
from gnnrl.executors.output import write_into
from gnnrl.scoring.plans import Scored, Scorer, Widths

_SCORERS: list[Scorer] = []
"""The scorer of this worker."""


class WorkerTraceback(Exception):
    """The traceback of an error in its worker: the cause of the error that is raised here."""

    def __str__(self) -> str:
        return f"in a worker\n{self.args[0]}"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of a worker, and its traceback as text."""

    error: Exception
    traceback: str = ""

    def raised(self) -> Exception:
        """Return the error, to be raised here."""
        if self.traceback:
            self.error.__cause__ = WorkerTraceback(self.traceback)
        return self.error


Outcome = Scored | Failure


def begin(threads: int, folders: Sequence[str]) -> None:
    """Prepare a worker, which also finds modules in the folders from which the main process has loaded some."""
    sys.path.extend(folder for folder in folders if folder not in sys.path)
    torch.set_num_threads(threads)


def begin_process(pipe: "connection.Connection[bytes, bytes]", threads: int, folders: Sequence[str]) -> None:
    """Prepare a worker process: the main process alone decides what Ctrl-C means, and where its output goes."""
    write_into(pipe)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    begin(threads, folders)


def load(payload: bytes) -> str | None:
    """Unpickle the scorer; return the reason if this is impossible here."""
    try:
        _SCORERS[:] = [pickle.loads(payload)]
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def judge(plan: Widths) -> Outcome:
    """Judge a plan, whatever happens.

    An error that the main process could not unpickle becomes an `EvaluationError` of the same text.
    """
    try:
        return _SCORERS[0](plan)
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        try:
            copied = pickle.loads(pickle.dumps(error))
        except Exception:
            copied = None
        told = f"judging widths {list(plan)} failed: {type(error).__name__}: {error}"
        return Failure(copied if type(copied) is type(error) else EvaluationError(told), text)


def _end_with_parent() -> None:
    """End this process if the process that started it was killed."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
