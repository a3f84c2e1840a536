"""One network in one engine in a process of its own, which measures when it is told to.

The process loads the network, forgets everything that it needed for that, and then waits: whoever compares lets
several such processes measure in turns, so that no two of them ever compute at the same time.
"""

import gc
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gnnrl.cli.inputs import Source

Engine = Literal["eager", "onnxruntime", "compile"]
_MEGABYTE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """What a process measures.

    Attributes:
        result: folder of the saved result, None for the dense network.
        onnx: the exported network, for onnxruntime.
        batches: sizes of the batches that are measured.
    """

    engine: Engine
    source: Source
    result: Path | None
    onnx: Path | None
    batches: tuple[int, ...]
    device: str
    threads: int


def serve(pipe: Any, contestant: Contestant) -> None:
    """Load, say so, then answer each number of a batch with the seconds of a block of calls, and the end with memory.

    Sends ("busy", with what) before each first pass, then ("ready", ""); or ("failed", why) and ends.
    """
    with redirect_stdout(sys.stderr):
        import torch

        torch.set_num_threads(contestant.threads)
        before = _resident("VmRSS")
        try:
            with torch.no_grad():
                calls = _calls(contestant)
                for size, call in zip(contestant.batches, calls, strict=True):
                    first = "compiling for" if contestant.engine == "compile" else "first pass with"
                    pipe.send(("busy", f"{first} a batch of {size}"))
                    call()
        except Exception as error:
            pipe.send(("failed", _reason(error)))
            return
        _forget()
        pipe.send(("ready", ""))
        _answer(pipe, calls, contestant, before)


def _answer(pipe: Any, calls: list[Callable[[], Any]], contestant: Contestant, before: float) -> None:
    import torch

    from gnnrl.cli.speed import time_block

    with torch.no_grad():
        while (batch := pipe.recv()) is not None:
            pipe.send(time_block(calls[batch], torch.device(contestant.device)))
    if contestant.device.startswith("cuda"):
        pipe.send(torch.cuda.max_memory_allocated(contestant.device) / _MEGABYTE)
    else:
        pipe.send(max(_resident("VmHWM") - before, 0.0))


def _calls(contestant: Contestant) -> list[Callable[[], Any]]:
    """A forward pass for each size of batch."""
    from gnnrl.artifacts.bundle import load
    from gnnrl.cli.console import Silent
    from gnnrl.cli.inputs import load_network

    fed = load_network(contestant.source, contestant.device, Silent())
    example = fed.example_inputs[0][:1]
    inputs = [example.repeat(size, *[1] * (example.ndim - 1)) for size in contestant.batches]
    if contestant.engine == "onnxruntime":
        return _sessions(contestant, inputs)
    import torch

    model = (fed.model if contestant.result is None else load(fed.model, contestant.result)).eval()
    if contestant.engine == "eager":
        return [_bound(model, value.to(contestant.device)) for value in inputs]
    return [_bound(torch.compile(model, dynamic=False), value.to(contestant.device)) for value in inputs]


def _sessions(contestant: Contestant, inputs: list[Any]) -> list[Callable[[], Any]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = contestant.threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(contestant.onnx), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    feeds = [{name: value.numpy()} for value in inputs]
    return [_bound(session.run, None, feed) for feed in feeds]


def _bound(call: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    return lambda: call(*arguments)


def _reason(error: Exception) -> str:
    """Return why an engine does not run, in one line."""
    cause = getattr(error, "inner_exception", error)
    text = str(cause).strip().partition("\n")[0]
    lacks_compiler = type(cause).__name__ == "InvalidCxxCompiler"
    return f"no C++ compiler was found ({text})" if lacks_compiler else text or repr(cause)


def _forget() -> None:
    """Let go of what loading needed, and start the peak of the memory anew where the system can."""
    gc.collect()
    marks = Path("/proc/self/clear_refs")
    if marks.exists():
        marks.write_text("5")  # see proc(5): resets the high-water mark


def _resident(key: str) -> float:
    """Megabytes in memory now (VmRSS) or at most (VmHWM); the peak of the whole process where there is no /proc."""
    status = Path("/proc/self/status")
    if not status.exists():
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) / 1024
