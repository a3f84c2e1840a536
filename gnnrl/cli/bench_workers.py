"""One network in one engine, in a process of its own that measures on request.

The process loads the network, releases everything else, and waits. Several such processes are asked in turns, so that
only one of them computes at a time.
"""

import gc
import logging
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gnnrl.cli.inputs import Source
from gnnrl.cli.streams import silence_torch
from gnnrl.errors import ConfigError
from gnnrl.executors.output import Output, write_into

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Engine = Literal["eager", "onnxruntime", "compile"]
_MEGABYTE = 2**20
_PULSE_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A network, and how a process measures it.

    Attributes:
        batches: sizes of the measured batches.
        result: folder of the saved result; None for the dense network.
        onnx: the exported network, for onnxruntime.
    """

    source: Source
    batches: tuple[int, int]
    device: str
    threads: int
    engine: Engine = "eager"
    result: Path | None = None
    onnx: Path | None = None


@contextmanager
def ready(contestant: Contestant, most_seconds: float, tell: Callable[[str], None]) -> Iterator[Callable[..., Any]]:
    """Start a process that has run each batch once, and end it with the block; an error ends it at once.

    Yields `ask(task, *arguments)`, which runs a task on the contestant in the process and returns the answer. Raises
    ConfigError if the engine does not run here, or takes too long.

    Args:
        most_seconds: the longest time for one answer.
        tell: function that is called with what the process does, and now and then with the seconds so far.
    """
    others = multiprocessing.active_children()
    output = Output()
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _prepare, (output.pipe,))
    first = "compiling for" if contestant.engine == "compile" else "first pass with"
    try:
        for batch, size in enumerate(contestant.batches):
            doing = f"{first} a batch of {size}"
            tell(doing)
            passed = pool.submit(first_pass, contestant, batch)
            output.release()
            _answer(passed, most_seconds, tell, doing)
        yield lambda task, *given: _answer(pool.submit(task, contestant, *given), most_seconds)
    except BaseException:
        for process in multiprocessing.active_children():
            if process not in others:
                process.terminate()
        raise
    finally:
        pool.shutdown()
        output.finish()


def _prepare(pipe: "Connection[bytes, bytes]") -> None:
    """Send output to the parent process, and leave Ctrl-C to it."""
    write_into(pipe)
    silence_torch()
    logging.disable(logging.WARNING)  # compilers log details of the machine
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _answer(
    future: Future[Any], most_seconds: float, tell: Callable[[str], None] | None = None, doing: str = ""
) -> Any:
    """Wait for the answer of a process; raise ConfigError if it dies, or does not answer in time."""
    waited = 0.0
    while not wait([future], min(_PULSE_SECONDS, most_seconds - waited)).done:
        waited += _PULSE_SECONDS
        if waited >= most_seconds:
            raise ConfigError(
                f"no response within {most_seconds:.0f} s. Raise --give-up, or leave this engine out of --engines."
            )
        if tell:
            tell(f"{doing}, {waited:.0f} s")
    try:
        return future.result()
    except BrokenProcessPool:
        raise ConfigError("a measuring process died; is there enough memory?") from None


def first_pass(contestant: Contestant, batch: int) -> None:
    """Run a batch once, and release what only that needed; raise ConfigError if the engine does not run here."""
    import torch

    try:
        with torch.no_grad():
            _loaded(contestant)[0][batch]()
    except Exception as error:  # each engine has errors of its own, and not all of them can be sent between processes
        raise ConfigError(_reason(error)) from None
    gc.collect()
    marks = Path("/proc/self/clear_refs")
    if marks.exists():
        marks.write_text("5")  # see proc(5): resets the high-water mark


def measure(contestant: Contestant, batch: int) -> list[float]:
    """Return the seconds of each call in a block of calls."""
    import torch

    from gnnrl.cli.speed import time_block

    with torch.no_grad():
        return time_block(_loaded(contestant)[0][batch], torch.device(contestant.device))


def peak_memory(contestant: Contestant) -> float:
    """Return the largest memory of the network and its calls, in megabytes."""
    import torch

    if contestant.device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(contestant.device) / _MEGABYTE
    return max(_resident("VmHWM") - _loaded(contestant)[1], 0.0)


@cache
def _loaded(contestant: Contestant) -> tuple[list[Callable[[], Any]], float]:
    """Load the network; return a forward pass for each batch, and the memory of the process before, in megabytes."""
    import torch

    from gnnrl.artifacts.bundle import load
    from gnnrl.cli.console import Narrator
    from gnnrl.cli.loading import load_network

    torch.set_num_threads(contestant.threads)
    before = _resident("VmRSS")
    fed = load_network(contestant.source, contestant.device, Narrator())
    example = fed.example_inputs[0][:1]
    inputs = [example.repeat(size, *[1] * (example.ndim - 1)) for size in contestant.batches]
    if contestant.engine == "onnxruntime":
        return _sessions(contestant, inputs), before
    model = (fed.model if contestant.result is None else load(fed.model, contestant.result)).eval()
    networks = [model if contestant.engine == "eager" else torch.compile(model, dynamic=False) for _ in inputs]
    return [partial(run, x.to(contestant.device)) for run, x in zip(networks, inputs, strict=True)], before


def _sessions(contestant: Contestant, inputs: list[Any]) -> list[Callable[[], Any]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = contestant.threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(contestant.onnx), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return [partial(session.run, None, {name: value.numpy()}) for value in inputs]


def _reason(error: Exception) -> str:
    """Return why an engine does not run, in one line."""
    cause = getattr(error, "inner_exception", error)
    text = str(cause).strip().partition("\n")[0]
    lacks_compiler = type(cause).__name__ == "InvalidCxxCompiler"
    return f"no C++ compiler was found ({text})" if lacks_compiler else text or repr(cause)


def _resident(key: str) -> float:
    """Return the megabytes in memory now (VmRSS) or at most (VmHWM); without /proc, the peak of the process."""
    status = Path("/proc/self/status")
    if not status.exists():
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) / 1024
