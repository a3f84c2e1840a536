"""gnnrl commands in processes of their own, to be killed, starved and interrupted by `trust.py`.

A process is forked from one that has loaded PyTorch, so that a start costs nothing; what is to go wrong is put into the
child before the command begins, gnnrl itself knows nothing of it.
"""

import errno
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Fault = Callable[[], None]


class Victim:
    """A running command.

    Args:
        arguments: those of `gnnrl`.
        folder: its working directory; `stdout` and `stderr` are written there.
        fault: called in the process before the command begins.
    """

    def __init__(self, arguments: Sequence[str], folder: Path, fault: Fault | None = None) -> None:
        self.folder = folder
        self._started = time.monotonic()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(_work(arguments, folder, fault))

    def send(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for its end; return its exit code, or minus the signal that killed it."""
        _, status = os.waitpid(self.pid, 0)
        self.seconds = time.monotonic() - self._started
        return os.waitstatus_to_exitcode(status)

    @property
    def errors(self) -> str:
        """What it wrote to stderr."""
        return (self.folder / "stderr").read_text()

    def wait_for(self, moment: Callable[[Path], bool]) -> None:
        """Wait until its folder holds what a moment of the run leaves there, or it ends."""
        while not moment(self.folder):
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return
            time.sleep(0.005)


def _work(arguments: Sequence[str], folder: Path, fault: Fault | None) -> int:
    from gnnrl.cli import console
    from gnnrl.cli.app import app

    console.PAUSE = 0.0  # each stage is told at once, so that it is known where a kill struck
    os.chdir(folder)
    for number, name in ((1, "stdout"), (2, "stderr")):
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(descriptor, number)
    try:
        _count_judged(folder / "judged")
        if fault is not None:
            fault()
        app([*arguments], prog_name="gnnrl")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
        return 1
    return 0


def _count_judged(path: Path) -> None:
    """Write down the number of every plan that is really judged, as its judgement begins."""
    from gnnrl.searchers.task import Task

    compute = Task._compute

    def counted(self: Task, plans: Sequence[Any]) -> Any:
        if plans:
            with path.open("a") as file:
                file.writelines(f"{os.getpid()} {len(self.trials) + number}\n" for number in range(len(plans)))
        return compute(self, plans)

    Task._compute = counted  # type: ignore[method-assign]


def killed_at(operation: int) -> Fault:
    """Kill the process at its n-th write to the disk, with half of it written."""
    left = [operation]

    def strike() -> bool:
        left[0] -= 1
        return left[0] == 0

    def fault() -> None:
        write, replace, fsync, rename = os.write, os.replace, os.fsync, Path.rename

        def half(descriptor: int, content: Any) -> int:
            if strike():
                write(descriptor, content[: len(content) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return write(descriptor, content)

        def before(function: Callable[..., Any]) -> Callable[..., Any]:
            def struck(*given: Any) -> Any:
                if strike():
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*given)

            return struck

        os.write, os.replace, os.fsync = half, before(replace), before(fsync)  # type: ignore[assignment]
        Path.rename = before(rename)  # type: ignore[method-assign]

    return fault


def failing_disk(code: int, after: int) -> Fault:
    """Let every fsync fail from the n-th on, as on a disk that is full, broken or mounted read-only."""
    assert code in errno.errorcode
    left = [after]

    def fault() -> None:
        fsync = os.fsync

        def failing(descriptor: int) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(code, os.strerror(code))
            fsync(descriptor)

        os.fsync = failing  # type: ignore[assignment]

    return fault


def small_disk(limit: int) -> Fault:
    """Let no file grow beyond so many bytes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def full_at_result() -> None:
    """Let the disk be full when the result is put in place."""
    from gnnrl.artifacts import bundle

    def failing(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    bundle.publish_folder = failing


def failing_reward(call: int, result: Callable[[], float]) -> Fault:
    """Let the n-th evaluation end otherwise: raise, return what is no number, hang."""
    calls = [0]

    def fault() -> None:
        from gnnrl.scoring import measures as judging

        measure = judging.cross_entropy

        def failing(*given: Any, **more: Any) -> float:
            calls[0] += 1
            return result() if calls[0] == call else measure(*given, **more)

        judging.cross_entropy = failing

    return fault
