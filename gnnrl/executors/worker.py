"""What a worker process does: load the judge once, then answer one plan after another until its pipe is closed.

Nothing but the process that began it can send it anything to unpickle: the pipe has no name.
"""

import os
import pickle
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from typing import TYPE_CHECKING, Any

import torch

from gnnrl.executors.outcome import outcome_of

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


@dataclass(frozen=True, slots=True)
class Hello:
    """The process has begun, and waits for its judge."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The judge is there, plans may come."""


@dataclass(frozen=True, slots=True)
class Unable:
    """The judge cannot be unpickled here."""

    reason: str


def work(pipe: "Connection[Any, Any]", threads: int, folders: Sequence[str]) -> None:
    """Judge plans as long as there are any; what they print goes to stderr, since stdout is for results.

    Args:
        threads: processor threads of an evaluation.
        folders: where modules are found that the process which began this one has loaded by their file.
    """
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.path.extend(folder for folder in folders if folder not in sys.path)
    torch.set_num_threads(threads)
    try:
        pipe.send(Hello())
        payload = pipe.recv_bytes()
        try:
            judge = pickle.loads(payload)
        except Exception as error:
            pipe.send(Unable(f"{type(error).__name__}: {error}"))
            return
        del payload
        pipe.send(Loaded())
        while True:
            pipe.send(outcome_of(judge, pipe.recv()))
    except (EOFError, OSError):
        return


def _end_with_parent() -> None:
    """Leave nothing behind where the process that began this one was killed."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
