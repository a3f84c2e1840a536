"""`gnnrl bench`: a saved result against its dense network, on this machine: latency, throughput, memory."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated, Any, get_args

import typer
from rich import box
from rich.table import Table

from gnnrl.cli import options
from gnnrl.cli.bench_workers import Contestant, Engine, measure, peak_memory, ready
from gnnrl.cli.completion import each_of
from gnnrl.cli.console import Narrator, narration, say, stdout
from gnnrl.cli.fields import takes_fields
from gnnrl.cli.inputs import load_network
from gnnrl.cli.saved import Given, ResultArgument, complete
from gnnrl.errors import ConfigError, GnnrlError
from gnnrl.imports import install_command

EnginesOption = Annotated[
    str,
    typer.Option(
        metavar="NAME,NAME",
        autocompletion=each_of(get_args(Engine)),
        help="eager: PyTorch as it is; onnxruntime: exported as ONNX (the extra onnx); compile: torch.compile, "
        "which needs a C++ compiler, and minutes. What is not there is told and left out.",
    ),
]
GiveUpOption = Annotated[
    int, typer.Option("--give-up", min=1, metavar="SECONDS", help="Leave an engine out that is silent for so long.")
]
RoundsOption = Annotated[
    int, typer.Option(min=1, metavar="N", help="Turns that each network takes; more for a busy machine.")
]
BatchesOption = Annotated[
    int, typer.Option("--batch", min=2, metavar="N", help="Inputs in a batch of which throughput is measured.")
]


@takes_fields(without={"mean", "std", "data"})
def bench(
    result: ResultArgument,
    given: Given,
    engines: EnginesOption = "eager,onnxruntime,compile",
    batch: BatchesOption = 64,
    rounds: RoundsOption = 8,
    give_up: GiveUpOption = 600,
    device: options.DeviceOption = "cpu",
    threads: options.ThreadsOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Compare a saved result with its dense network: distribution of the latency, throughput and peak memory.

    Every network runs in a process of its own in every engine; they measure in turns.

    gnnrl bench small --threads 1
    gnnrl bench small --engines eager,onnxruntime
    """
    chosen = _engines(engines)
    with narration(quiet=as_json) as narrator:
        narrator.begin("loading PyTorch")
        import torch

        from gnnrl.artifacts.bundle import load

        source, _ = complete(result, given, with_data=False)
        load(load_network(source, "cpu", narrator).model, result)  # what is wrong with the result is said once
        count = threads or torch.get_num_threads()
        dense = Contestant(source=source, batches=(1, batch), device=device, threads=count)
        pair = {"dense": dense, "pruned": replace(dense, result=result)}
        measured, missing = _measure(pair, chosen, rounds, give_up, narrator)
    facts = {
        "result": str(result),
        "model": source.model,
        "batch": batch,
        "device": device,
        "threads": count,
        "engines": measured,
        "missing": missing,
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    stdout().print(tabulate(facts))
    for engine, reason in missing.items():
        say(f"{engine} was left out: {reason}")


def _engines(text: str) -> list[Engine]:
    known: tuple[Engine, ...] = get_args(Engine)
    names = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in known:
            raise ConfigError(
                f"there is no engine {name!r}{options.suggestion(name, known)}. There are {', '.join(known)}"
            )
    if not names:
        raise ConfigError(f"--engines names none; there are {', '.join(known)}")
    return [engine for engine in known if engine in names]


def _measure(
    pair: Mapping[str, Contestant], engines: Sequence[Engine], rounds: int, most_seconds: float, narrator: Narrator
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return facts of the engines that run, and why the others do not.

    Args:
        pair: the dense and the pruned network.
        rounds: turns that each network takes.
        most_seconds: the longest time for one answer of a process.

    Raises:
        ConfigError: none of them runs.
    """
    measured: dict[str, Any] = {}
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
                    measured[engine] = _turns(asked, rounds, pair["dense"].batches, narrator)
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


def _turns(
    asked: Mapping[str, Callable[..., Any]], rounds: int, batches: tuple[int, int], narrator: Narrator
) -> dict[str, Any]:
    """Let the networks measure in turns, and collect what they say."""
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in asked}
    for turn in range(2 * rounds):
        for name, ask in asked.items():
            found[name][turn % 2].extend(ask(measure, turn % 2))
        narrator.advance(turn + 1, 2 * rounds)
    facts = {}
    for name, (one, many) in found.items():
        low, high = _tails(one)
        slow, fast = (round(batches[1] / seconds, 1) for seconds in reversed(_tails(many)))
        facts[name] = {
            "latency_ms": {"median": _ms(median(one)), "p5": _ms(low), "p95": _ms(high)},
            "images_per_second": round(batches[1] / median(many), 1),
            "images_per_second_spread": {"p5": slow, "p95": fast},
            "peak_memory_mb": round(asked[name](peak_memory), 1),
            "calls": len(one),
        }
    return facts


def _tails(seconds: Sequence[float]) -> tuple[float, float]:
    """The 5th and the 95th percentile."""
    if len(seconds) < 2:
        return seconds[0], seconds[0]
    cuts = quantiles(seconds, n=20, method="inclusive")
    return cuts[0], cuts[-1]


def _ms(seconds: float) -> float:
    return round(1e3 * seconds, 4)


def tabulate(facts: Mapping[str, Any]) -> Table:
    """Tabulate a row for each network in each engine, and how much faster the pruned one is."""
    threads = "1 thread" if facts["threads"] == 1 else f"{facts['threads']} threads"
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title=f"{facts['device']}, {threads}")
    table.add_column("", no_wrap=True)
    for title in ("ms", "p5", "p95", f"by {facts['batch']}, /s", "p5", "p95", "peak MB"):
        table.add_column(title, justify="right")
    for engine, networks in facts["engines"].items():
        for name, row in networks.items():
            latency = row["latency_ms"]
            times = (f"{latency[key]:.2f}" for key in ("median", "p5", "p95"))
            spread = row["images_per_second_spread"]
            rates = (f"{rate:,.0f}" for rate in (row["images_per_second"], spread["p5"], spread["p95"]))
            table.add_row(f"{engine}, {name}", *times, *rates, f"{row['peak_memory_mb']:,.0f}")
        dense, pruned = networks["dense"], networks["pruned"]
        faster = dense["latency_ms"]["median"] / pruned["latency_ms"]["median"]
        rate = pruned["images_per_second"] / dense["images_per_second"]
        memory = pruned["peak_memory_mb"] / max(dense["peak_memory_mb"], 0.1)
        shares = (f"x{faster:.2f}", "", "", f"x{rate:.2f}", "", "", f"{memory:.0%}")
        table.add_row("pruned to dense", *(f"[green]{share}[/]" for share in shares), end_section=True)
    return table
