"""Plans judged by worker processes of this machine.

Processes are spawned, not forked: a fork would copy threads and locks of PyTorch in whatever state they are. So the
script that begins them is imported again by each, and has to do its work under `if __name__ == "__main__":`.
"""

import os
import pickle
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import count
from multiprocessing import connection, get_context, process
from typing import TYPE_CHECKING, Any

from gnnrl.errors import ConfigError
from gnnrl.executors.employment import CrewExecutor
from gnnrl.executors.scheduling import Answer, Event, Lost, Patience, Ready
from gnnrl.executors.worker import Hello, Loaded, Unable, work
from gnnrl.imports import folders
from gnnrl.scoring.plans import Judge, Widths

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

_MOST_WORKERS, _MOST_WORKERS_EACH = 64, 4


class ProcessExecutor(CrewExecutor):
    """Judges in processes that each hold a copy of the network, the calibration and the evaluation function.

    Args:
        workers: processes; by default as many as there are processors.
        threads: processor threads of each.
        timeout: seconds that an evaluation may take, after which its process is replaced.
        retries: how often an evaluation is repeated whose process died or took too long.
        straggler: see `gnnrl.executors.scheduling.Patience`.

    Raises:
        ConfigError: a number is out of its range, or the script begins its work when it is imported.
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
                "worker processes import the script that begins them: put its work under `if __name__ == '__main__':`"
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

    def start(self, judge: Judge) -> None:
        """Take what all plans from here on are judged with; processes begin with the first plans.

        Raises:
            ConfigError: a part of it cannot be pickled; the message names it.
        """
        self.close()
        self.employ(_Processes(pickled(judge), self._threads), self.workers)


def pickled(judge: Judge) -> bytes:
    """A judge as worker processes unpickle it.

    Raises:
        ConfigError: a part of it cannot be pickled.
    """
    try:
        return pickle.dumps(judge)
    except Exception as error:
        raise ConfigError(unsendable(judge, error, pickle.dumps)) from error


def unsendable(judge: Judge, error: Exception, dumps: Any) -> str:
    """Why a judge cannot be sent to workers, and what to do about it."""
    for part in fields(judge):
        value = getattr(judge, part.name)
        try:
            dumps(value)
        except Exception:
            own = getattr(value, "__qualname__", type(value).__qualname__)
            what = "evaluation function" if part.name == "evaluate" else part.name
            return (
                f"the {what} {own} cannot be sent to workers ({type(error).__name__}: {error}). Define it at the top "
                "level of a module, without open files, locks or functions inside functions, or use executor 'serial'"
            )
    return f"what judges plans cannot be sent to workers: {type(error).__name__}: {error}"


@dataclass(frozen=True, slots=True)
class _Member:
    """A process and this end of its pipe."""

    process: "SpawnProcess"
    pipe: "Connection[Any, Any]"

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


class _Processes:
    """A crew of processes; see `gnnrl.executors.scheduling.Crew`."""

    def __init__(self, payload: bytes, threads: int) -> None:
        self._payload, self._threads = payload, threads
        self._members: dict[int, _Member] = {}
        self._numbers = count()

    def hire(self) -> int:
        context, number = get_context("spawn"), next(self._numbers)
        ours, theirs = context.Pipe()
        started = context.Process(target=work, args=(theirs, self._threads, folders()), name=f"gnnrl-worker-{number}")
        with _shielded():
            started.start()
        theirs.close()
        self._members[number] = _Member(started, ours)
        return number

    def send(self, worker: int, plan: Widths) -> None:
        try:
            self._members[worker].pipe.send(plan)
        except OSError:
            return  # it is dead, which `wait` tells

    def wait(self, seconds: float) -> list[Event]:
        if not self._members:
            time.sleep(seconds)
        watched = [end for member in self._members.values() for end in (member.pipe, member.process.sentinel)]
        connection.wait(watched, seconds)
        return [event for number in list(self._members) for event in self._heard(number)]

    def _heard(self, number: int) -> Iterator[Event]:
        """What a worker said, and whether it is dead."""
        member = self._members[number]
        is_dead = not member.process.is_alive()
        try:
            while member.pipe.poll():
                message = member.pipe.recv()
                if isinstance(message, Hello):
                    member.pipe.send_bytes(self._payload)
                elif isinstance(message, Loaded):
                    yield Ready(number)
                elif isinstance(message, Unable):
                    raise ConfigError(
                        f"worker processes cannot load what judges plans ({message.reason}). Network and evaluation "
                        "function must be of modules that can be imported, not of an interactive session; or use "
                        "executor 'serial'"
                    )
                else:
                    yield Answer(number, message)
        except (EOFError, OSError):
            is_dead = True
        if is_dead:
            member.process.join(1.0)
            code = member.process.exitcode
            self.dismiss(number)
            yield Lost(number, f"the worker process ended with exit code {code}" + (", killed" if code == -9 else ""))

    def dismiss(self, worker: int) -> None:
        self._members.pop(worker).end()

    def close(self) -> None:
        for member in self._members.values():
            member.process.kill()
        for number in list(self._members):
            self.dismiss(number)


@contextmanager
def _shielded() -> Iterator[None]:
    """Keep Ctrl-C from processes that begin inside: what it means is decided here."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
