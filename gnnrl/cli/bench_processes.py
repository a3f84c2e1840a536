"""Processes that measure in turns: started one after the other, told apart by their pipes, ended with the block."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from gnnrl.cli.bench_workers import Contestant, serve
from gnnrl.cli.console import Narrator
from gnnrl.errors import ConfigError

_PULSE_SECONDS = 15.0


@contextmanager
def running(contestants: Sequence[Contestant], narrator: Narrator, most_seconds: float) -> Iterator[list[Any]]:
    """Processes that are ready, by their pipes; what they do until then is told.

    Raises:
        ConfigError: one of them cannot run, or takes too long; says why.
    """
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe() for _ in contestants]
    processes = [
        context.Process(target=serve, args=(theirs, contestant), daemon=True)
        for contestant, (_, theirs) in zip(contestants, pairs, strict=True)
    ]
    try:
        for process, contestant, (ours, theirs) in zip(processes, contestants, pairs, strict=True):
            process.start()
            theirs.close()
            name = "dense" if contestant.result is None else "pruned"
            _prepared(ours, partial(_note, narrator, name), most_seconds)
        yield [ours for ours, _ in pairs]
    finally:
        for process, (ours, _) in zip(processes, pairs, strict=True):
            ours.close()
            if process.pid is not None:
                process.terminate()
                process.join()


def _prepared(pipe: Any, tell: Callable[[str], None], most_seconds: float) -> None:
    """Wait until a process is ready, and say what it is busy with."""
    state, text = "busy", "starting"
    while state != "ready":
        if state == "failed":
            raise ConfigError(text)
        tell(text)
        state, text = receive(pipe, most_seconds, partial(_waiting, tell, text))


def _note(narrator: Narrator, name: str, text: str) -> None:
    narrator.note(f"{name}: {text}")


def _waiting(tell: Callable[[str], None], text: str, seconds: float) -> None:
    tell(f"{text}, {seconds:.0f} s")


def receive(pipe: Any, most_seconds: float, tell: Callable[[float], None] | None = None) -> Any:
    """What a process says next.

    Args:
        tell: called now and then with the seconds that were waited.

    Raises:
        ConfigError: it is dead, or says nothing.
    """
    waited = 0.0
    try:
        while not pipe.poll(slice_ := min(_PULSE_SECONDS, most_seconds - waited)):
            waited += slice_
            if waited >= most_seconds:
                raise ConfigError(f"it was given up after {most_seconds:.0f} s; --give-up says when, --engines what")
            if tell:
                tell(waited)
        return pipe.recv()
    except EOFError:
        raise ConfigError("a measuring process died; is there enough memory?") from None
