"""Plans judged by worker processes of this machine.

Processes are spawned, not forked: a fork would copy threads and locks of PyTorch in whatever state they are. Each
process therefore imports the script that starts it, which has to do its work under `if __name__ == "__main__":`.
"""

import os
import pickle
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from multiprocessing import get_context, process
from typing import Any

from gnnrl.errors import ConfigError
from gnnrl.executors.output import Output
from gnnrl.executors.scheduling import Patience, Worker, WorkerExecutor
from gnnrl.executors.worker import begin_process, load
from gnnrl.imports import folders
from gnnrl.scoring.plans import Scorer

_MOST_WORKERS, _MOST_WORKERS_EACH = 64, 4


class ProcessExecutor(WorkerExecutor):
    """Judges in processes that each hold a copy of the network, the calibration and the evaluation function.

    `compress` and `compare` close the executor that they are given. If you call `map` yourself, use a `with` statement:
    a script that ends without `close` waits for the evaluations in hand.

    Args:
        workers: processes; by default as many as there are processors.
        threads: processor threads of each.
        timeout, retries, straggler: see `gnnrl.executors.scheduling.Patience`.

    Raises:
        ConfigError: a number is out of its range, or the script starts its work when it is imported.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        threads: int = 1,
        timeout: float | None = None,
        retries: int = 2,
        straggler: float | None = 4.0,
    ) -> None:
        if getattr(process.current_process(), "_inheriting", False):
            raise ConfigError(
                "worker processes import the script that starts them: put its work under `if __name__ == '__main__':`"
            )
        self.workers = workers or os.cpu_count() or 1
        if self.workers < 1 or threads < 1:
            raise ConfigError(f"workers and threads must be at least 1, got {workers} and {threads}")
        processors = os.cpu_count() or 1
        if self.workers > max(_MOST_WORKERS, _MOST_WORKERS_EACH * processors):
            raise ConfigError(
                f"{workers} worker processes are too many for the {processors} processors of this machine; give as "
                "many workers as there are processors, or executor 'ray' for more machines"
            )
        super().__init__(Patience(timeout, retries, straggler))
        self._threads = threads

    def start(self, scorer: Scorer) -> None:
        """Take what all plans from here on are judged with; processes start with the first plans.

        Raises:
            ConfigError: a part of it cannot be pickled; the message names it.
        """
        self.close()
        self.employ(partial(_hire, pickled(scorer), self._threads), self.workers)


def pickled(scorer: Scorer, dumps: Callable[[object], bytes] = pickle.dumps) -> bytes:
    """Return a scorer as workers unpickle it.

    Raises:
        ConfigError: a part of it cannot be pickled; the message names it.
    """
    try:
        return dumps(scorer)
    except Exception as error:
        broken = next((part.name for part in fields(scorer) if not _can_be_sent(getattr(scorer, part.name), dumps)), "")
        value = getattr(scorer, broken) if broken else scorer
        own = getattr(value, "__qualname__", type(value).__qualname__)
        raise ConfigError(
            f"the {'evaluation function' if broken == 'evaluate' else broken or 'scorer'} {own} cannot be sent to "
            f"workers ({type(error).__name__}: {error}). Define it at the top level of a module, without open files, "
            "locks or functions inside functions, or use executor 'serial'"
        ) from error


def _can_be_sent(value: object, dumps: Callable[[object], bytes]) -> bool:
    try:
        dumps(value)
    except Exception:
        return False
    return True


class _Process:
    """A pool of one process: when it is lost or ended, no evaluation but its own is; see `scheduling.Worker`."""

    def __init__(self, threads: int) -> None:
        context = get_context("spawn")
        self._output = Output()
        given = (self._output.pipe, threads, folders())
        self._pool = ProcessPoolExecutor(1, context, initializer=begin_process, initargs=given)

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> "Future[Any]":
        with _shielded():  # the first task starts the process
            submitted = self._pool.submit(function, *arguments)
        self._output.release()
        return submitted

    def end(self, error: BaseException | None = None) -> str:
        (started,) = self._pool._processes.values()  # before Python 3.14 a pool has no public way to kill
        started.kill()
        self._pool.shutdown()
        self._output.finish()
        code = started.exitcode
        return f"the worker process ended with exit code {code}" + (", killed" if code == -signal.SIGKILL else "")


def _hire(payload: bytes, threads: int) -> "tuple[Worker, Future[str | None]]":
    worker = _Process(threads)
    return worker, worker.submit(load, payload)


@contextmanager
def _shielded() -> Iterator[None]:
    """Keep Ctrl-C from processes that are started inside: this process alone decides what it means."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
