"""`gnnrl bench`: compare a saved result with its dense network on this machine: latency, throughput, memory."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, get_args

from rich.table import Table

from gnnrl.cli.bench_workers import Contestant, Engine, measure, peak_memory, ready
from gnnrl.cli.command import Outcome, command
from gnnrl.cli.completion import each_of
from gnnrl.cli.console import Narrator, say, stdout
from gnnrl.cli.options import DeviceOption, ThreadsOption, option
from gnnrl.cli.saved import Given, ResultArgument, complete
from gnnrl.errors import ConfigError, GnnrlError, choices
from gnnrl.imports import install_command
from gnnrl.report.names import plural


@dataclass(frozen=True, slots=True)
class Speed:
    """Measurements of one network in one engine: medians, and the 5th and 95th percentiles."""

    latency_ms: Mapping[str, float]
    images_per_second: float
    images_per_second_spread: Mapping[str, float]
    peak_memory_mb: float
    calls: int

    @classmethod
    def of(cls, one: Sequence[float], many: Sequence[float], batch: int, megabytes: float) -> "Speed":
        """Summarise seconds of calls with one input, and with a batch."""
        import numpy as np

        low, middle, high = (1e3 * np.percentile(one, (5, 50, 95))).round(4).tolist()
        fast, rate, slow = (batch / np.percentile(many, (5, 50, 95))).round(1).tolist()
        latency = {"median": middle, "p5": low, "p95": high}
        return cls(latency, rate, {"p5": slow, "p95": fast}, round(megabytes, 1), len(one))

    def cells(self) -> list[str]:
        """Return the numbers as text."""
        latency, spread = self.latency_ms, self.images_per_second_spread
        times = [f"{latency[key]:.2f}" for key in ("median", "p5", "p95")]
        rates = [f"{rate:,.0f}" for rate in (self.images_per_second, spread["p5"], spread["p95"])]
        return [*times, *rates, f"{self.peak_memory_mb:,.0f}"]


@dataclass(frozen=True, slots=True)
class Benched(Outcome):
    """Speeds of the `dense` and of the `pruned` network in each engine, and why other engines were skipped."""

    result: str
    model: str
    batch: int
    device: str
    threads: int
    engines: Mapping[str, Mapping[str, Speed]]
    missing: Mapping[str, str]

    def show(self) -> None:
        """Print a table, and the engines that were skipped."""
        stdout().print(tabulate(self))
        for engine, reason in self.missing.items():
            say(f"{engine} was skipped: {reason}")


@command(without={"mean", "std", "data"})
def bench(
    narrator: Narrator,
    result: ResultArgument,
    given: Given,
    engines: Annotated[
        str,
        option(
            "eager: PyTorch; onnxruntime: exported as ONNX (the extra onnx); compile: torch.compile, which needs a C++ "
            "compiler, and minutes. Engines that are not installed are skipped with a message.",
            metavar="NAME,NAME",
            autocompletion=each_of(get_args(Engine)),
        ),
    ] = "eager,onnxruntime,compile",
    batch: Annotated[int, option("Inputs in the batch that measures throughput.", "--batch", min=2)] = 64,
    rounds: Annotated[int, option("Turns of each network; more for a busy machine.", min=1)] = 8,
    give_up: Annotated[
        int, option("Skip an engine after this time without a response.", metavar="SECONDS", min=1)
    ] = 600,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> Benched:
    """Compare a saved result with its dense network: distribution of the latency, throughput and peak memory.

    Every network runs in a process of its own in every engine; the processes measure in turns.

    gnnrl bench small --threads 1
    gnnrl bench small --engines eager,onnxruntime
    """
    chosen = _engines(engines)
    narrator.begin("loading PyTorch")
    source, _ = complete(result, given, with_data=False, device=device)
    import torch

    from gnnrl.artifacts.bundle import load
    from gnnrl.cli.loading import load_network

    load(load_network(source, "cpu", narrator).model, result)  # so that a wrong result is reported once
    count = threads or torch.get_num_threads()
    dense = Contestant(source=source, batches=(1, batch), device=device, threads=count)
    measured, missing = _measure(
        {"dense": dense, "pruned": replace(dense, result=result)}, chosen, rounds, give_up, narrator
    )
    return Benched(str(result), source.model, batch, device, count, measured, missing)


def _engines(text: str) -> list[Engine]:
    known: tuple[Engine, ...] = get_args(Engine)
    names = [part.strip() for part in text.split(",") if part.strip()]
    for name in names:
        if name not in known:
            raise ConfigError(f"there is no engine {name!r}; {choices(name, known)}")
    if not names:
        raise ConfigError(f"--engines names none; there are {', '.join(known)}")
    return [engine for engine in known if engine in names]


def _measure(
    pair: Mapping[str, Contestant], engines: Sequence[Engine], rounds: int, most_seconds: float, narrator: Narrator
) -> tuple[dict[str, dict[str, Speed]], dict[str, str]]:
    """Return the speeds in the engines that run, and why the others do not; raise ConfigError if none runs."""
    measured: dict[str, dict[str, Speed]] = {}
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="gnnrl-bench-") as scratch:
        for engine in engines:
            running = {
                name: replace(one, engine=engine, onnx=Path(scratch) / f"{name}.onnx") for name, one in pair.items()
            }
            try:
                if engine == "onnxruntime":
                    _export(running, narrator)
                narrator.begin(f"measuring {engine}", "turns")
                with ExitStack() as stack:
                    asked = {
                        name: stack.enter_context(ready(one, most_seconds, partial(_note, narrator, name)))
                        for name, one in running.items()
                    }
                    measured[engine] = _turns(asked, rounds, pair["dense"].batches[1], narrator)
            except GnnrlError as error:
                missing[engine] = str(error)
    if not measured:
        raise ConfigError(f"nothing could be measured: {'; '.join(f'{name}: {why}' for name, why in missing.items())}")
    return measured, missing


def _note(narrator: Narrator, name: str, text: str) -> None:
    narrator.note(f"{name}: {text}")


def _export(pair: Mapping[str, Contestant], narrator: Narrator) -> None:
    from gnnrl.artifacts.bundle import load
    from gnnrl.artifacts.onnx import export_onnx
    from gnnrl.cli.loading import load_network

    if pair["dense"].device != "cpu":
        raise ConfigError("it is measured on the processor only; give --device cpu")
    if find_spec("onnxruntime") is None:
        raise ConfigError(f"it is not installed; run: {install_command('onnx')}")
    fed = load_network(pair["dense"].source, "cpu", narrator)
    narrator.begin("exporting")
    for one in pair.values():
        network = fed.model if one.result is None else load(fed.model, one.result)
        record = export_onnx(network, fed.example_inputs, str(one.onnx), check=False)
        if not record.dynamic_batch:
            raise ConfigError(f"the network's code fixes the batch: {record.static_reason}")


def _turns(asked: Mapping[str, Callable[..., Any]], rounds: int, batch: int, narrator: Narrator) -> dict[str, Speed]:
    """Let the networks measure in turns, one input and a batch alternately."""
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in asked}
    for turn in range(2 * rounds):
        for name, ask in asked.items():
            found[name][turn % 2].extend(ask(measure, turn % 2))
        narrator.advance(turn + 1, 2 * rounds)
    return {name: Speed.of(*found[name], batch, ask(peak_memory)) for name, ask in asked.items()}


def tabulate(found: Benched) -> Table:
    """Tabulate a row for each network in each engine, and the ratios of the two networks."""
    from gnnrl.cli.tables import new_table

    title = f"{found.device}, {plural(found.threads, 'thread')}"
    table = new_table("", "ms", "p5", "p95", f"by {found.batch}, /s", "p5", "p95", "peak MB", title=title)
    for engine, networks in found.engines.items():
        for name, speed in networks.items():
            table.add_row(f"{engine}, {name}", *speed.cells())
        dense, pruned = networks["dense"], networks["pruned"]
        faster = dense.latency_ms["median"] / pruned.latency_ms["median"]
        rate = pruned.images_per_second / dense.images_per_second
        memory = pruned.peak_memory_mb / max(dense.peak_memory_mb, 0.1)
        shares = (f"x{faster:.2f}", "", "", f"x{rate:.2f}", "", "", f"{memory:.0%}")
        table.add_row("pruned to dense", *(f"[green]{share}[/]" for share in shares), end_section=True)
    return table
