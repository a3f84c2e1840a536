"""Which networks can be pruned: classifiers, segmentation networks and backbones of torchvision, 40 networks of timm.

    python benchmarks/coverage.py [--only timm:poolformer_s12,...] [--peer]

Each network is traced, pruned to 50 % of its MACs by global l2, checked (counted size equals predicted size; output
equals the masked dense network in float64, where it does not normalise over channels), run forward and backward,
saved, loaded by a fresh process into a fresh instance of its class and compared to the last bit. Every network has a
process of its own, with limits of time and memory. With --peer, Torch-Pruning removes channels of the same networks
with the same criterion until half of the MACs are left, and is checked the same way. The script continues where it was
interrupted.

    benchmarks/coverage.py --library transformers [--only llama,bert]

checks the networks of a library (`coverage_rows.py`), in an environment of its own: `pip install` the packages that
`LIBRARIES` names, and gnnrl. `--table` writes `docs/coverage.md` from all that is known of libraries.
"""

import argparse
import contextlib
import importlib
import json
import multiprocessing
import resource
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import coverage_table
import machine
import torch
from builders import SIBLINGS, build, names
from torch import nn

RESULT = Path(__file__).parent / "results" / "coverage.json"
_LAYERS = nn.Linear | nn.Conv2d | nn.Conv3d
GIGABYTES, SECONDS = 16, 600


@dataclass
class Finding:
    """What happened to one network; `problem` is empty where everything held."""

    name: str
    tool: str
    problem: str = ""
    groups: int = 0
    frozen_share: float = 0.0
    macs_ratio: float = 0.0
    difference: float | None = None
    trace_seconds: float = 0.0
    prune_seconds: float = 0.0
    why_frozen: tuple[str, ...] = ()


def check_gnnrl(name: str) -> Finding:
    """Prune one network with gnnrl and check the result."""
    from gnnrl.artifacts import bundle
    from gnnrl.errors import UnreachableConstraint
    from gnnrl.network.cost import measure
    from gnnrl.network.surgery import remove
    from gnnrl.network.tracing.tracer import trace
    from gnnrl.pruning.importance import importance
    from gnnrl.pruning.plan import Plan
    from gnnrl.pruning.verification import verify

    finding = Finding(name, "gnnrl")
    model, inputs = build(name)
    model, inputs = model.double(), inputs.double()
    start = perf_counter()
    network = trace(model, inputs)
    finding.trace_seconds = perf_counter() - start
    finding.groups = len(network.groups)
    finding.frozen_share = sum(group.macs_share for group in network.frozen)
    packages = f"{Path(torch.__file__).parents[1]}/"  # whose place on one machine is nobody's business
    reasons = [str(group.reasons[0]).replace(packages, "") for group in network.frozen if group.macs_share > 0.001]
    finding.why_frozen = tuple(dict.fromkeys(reasons))[:5]
    try:
        plan = Plan.ranked(network, "macs<=50%", importance("l2", model, network))
    except UnreachableConstraint as error:
        finding.problem = f"refused: {error}"
        return finding
    start = perf_counter()
    small = remove(model, network, plan.kept or ())
    finding.prune_seconds = perf_counter() - start
    finding.difference = verify(model, small, network, plan.kept or (), inputs).difference
    finding.macs_ratio = measure(network, plan).macs / measure(network).macs
    if measure(trace(small, inputs)) != measure(network, plan):
        finding.problem = "law 1: the size predicted is not the size of the pruned network"
    small, inputs = small.float(), inputs.float()  # in float64 some kernels depend on where memory lies
    _backward(small, inputs)
    with tempfile.TemporaryDirectory() as folder:
        facts = {"attributes": network.stated(network.alive(plan.kept or ()))}
        target = bundle.save(Path(folder) / "out", small, plan, facts)
        torch.save(_output(small, inputs), Path(folder) / "output.pt")
        loaded = _in_process(_reload, name, str(target), str(Path(folder) / "output.pt"))
    if loaded is not True:
        finding.problem = f"saved, but does not load to the last bit: {loaded}"
    return finding


def check_peer(name: str) -> Finding:
    """Prune one network with Torch-Pruning and check the result."""
    import torch_pruning

    from gnnrl.pruning.counting import count_macs

    finding = Finding(name, "torch-pruning")
    model, inputs = build(name)
    before, shape = count_macs(model, inputs), _output(model, inputs).shape
    ignored = [m for m in model.modules() if isinstance(m, _LAYERS) and len(m.weight) in (1000, 400, 21)]
    start = perf_counter()
    pruner = torch_pruning.pruner.BasePruner(
        model,
        inputs,
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        global_pruning=False,
        pruning_ratio=0.5,
        iterative_steps=20,
        ignored_layers=ignored,
    )
    finding.trace_seconds = perf_counter() - start
    start = perf_counter()
    ratio = 1.0
    for _ in range(20):
        pruner.step()
        ratio = count_macs(model.eval(), inputs) / before
        if ratio <= 0.5:
            break
    finding.prune_seconds, finding.macs_ratio = perf_counter() - start, ratio
    if _output(model, inputs).shape != shape:
        finding.problem = "the output has another shape"
    elif ratio > 0.5:
        finding.problem = f"{ratio:.0%} of the MACs are left"
    _backward(model, inputs)
    return finding


def _reload(name: str, folder: str, expected: str) -> object:
    from gnnrl.artifacts import bundle

    model, inputs = build(name)
    loaded = bundle.load(model, folder).eval()
    return bool(torch.equal(_output(loaded, inputs), torch.load(expected, weights_only=True)))


def _output(model: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        result = model(inputs)
    while not isinstance(result, torch.Tensor):
        result = next(iter(result.values())) if isinstance(result, dict) else result[0]
    return result


def _backward(model: nn.Module, inputs: torch.Tensor) -> None:
    result = model(inputs)
    while not isinstance(result, torch.Tensor):
        result = next(iter(result.values())) if isinstance(result, dict) else result[0]
    torch.autograd.backward(result.sum())


def _in_process(function: Callable[..., Any], *arguments: object, method: str = "spawn") -> object:
    """Run a function in a process of its own, within limits; its result, or what went wrong as text."""
    context: Any = multiprocessing.get_context(method)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, function, arguments), daemon=False)
    process.start()
    sender.close()
    result: object = "killed: out of memory, or crashed"
    if receiver.poll(SECONDS):
        with contextlib.suppress(EOFError):
            result = receiver.recv()
    else:
        result = f"not finished after {SECONDS} s"
        process.kill()
    process.join()
    return result


def _child(sender: Any, function: Callable[..., Any], arguments: tuple[object, ...]) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_DATA, (GIGABYTES << 30, GIGABYTES << 30))
    try:
        sender.send(function(*arguments))
    except Exception as error:
        sender.send(f"{type(error).__name__}: {str(error).splitlines()[0][:300] if str(error) else ''}")


def main() -> None:
    """Check all networks that were not checked yet, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names, joined by commas")
    parser.add_argument("--peer", action="store_true", help="check Torch-Pruning too")
    parser.add_argument("--again", action="store_true", help="forget what was found before")
    parser.add_argument("--library", choices=list(coverage_table.LIBRARIES), help="check networks of this library")
    parser.add_argument("--table", action="store_true", help="write the page of all libraries")
    options = parser.parse_args()
    if options.library:
        check_library(options.library, options.only.split(",") if options.only else [], again=options.again)
    if options.library or options.table:
        coverage_table.write()
        return
    known = {} if options.again or not RESULT.exists() else json.loads(RESULT.read_text())["findings"]
    wanted = options.only.split(",") if options.only else names()
    tools = {"gnnrl": check_gnnrl, **({"torch-pruning": check_peer} if options.peer else {})}
    for tool, check in tools.items():
        for name in wanted:
            key = f"{tool} {name}"
            if key in known and not options.only:
                continue
            result = _in_process(check, name)
            finding = result if isinstance(result, Finding) else Finding(name, tool, problem=str(result))
            known[key] = asdict(finding)
            _print(finding)
            RESULT.parent.mkdir(exist_ok=True)
            RESULT.write_text(json.dumps({**machine.describe(), "findings": known}, indent=1) + "\n")
    for tool in tools:
        found = [known[f"{tool} {name}"] for name in wanted if f"{tool} {name}" in known]
        sound = sum(not finding["problem"] for finding in found)
        print(f"{tool}: {sound} of {len(found)} networks sound, {len(wanted) - len(found)} not checked")
    print("".join(f"{name} is represented by {sibling}.\n" for name, sibling in SIBLINGS.items()), end="")
    sys.exit(0)


def check_library(library: str, only: list[str], *, again: bool) -> None:
    """Check the networks of a library that were not checked yet, and keep what was found."""
    torch.set_num_threads(1)
    names = importlib.import_module(f"coverage_{library}").names()
    known = coverage_table.read()
    section = known.setdefault(library, {"rows": {}})
    section |= {**machine.describe(), "versions": coverage_table.versions(library)}
    for name in only or names:
        if name in section["rows"] and not (again or only):
            continue
        start = perf_counter()
        found = _in_process(check_row, library, name, method="fork")  # the library is imported once
        row = found if isinstance(found, dict) else {"name": name, "problems": [f"process: {found}"]}
        row["wall"] = round(perf_counter() - start, 1)
        section["rows"][name] = row
        coverage_table.keep(library, section)
        print(coverage_table.line(row), flush=True)
    section["rows"] = {name: section["rows"][name] for name in names if name in section["rows"]}
    coverage_table.keep(library, section)


def check_row(library: str, name: str) -> dict[str, Any]:
    """Check one network of a library."""
    from coverage_rows import check

    module = importlib.import_module(f"coverage_{library}")
    return asdict(check(name, lambda: module.build(name)))


def _print(finding: Finding) -> None:
    difference = "-" if finding.difference is None else f"{finding.difference:.0e}"
    print(
        f"| {finding.name} | {finding.tool} | {finding.groups} groups | {finding.frozen_share:.0%} frozen | "
        f"{finding.macs_ratio:.3f} | {difference} | {finding.trace_seconds:.1f} s | {finding.problem or 'sound'} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
