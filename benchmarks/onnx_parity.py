"""Whether the ONNX file of a pruned network computes what PyTorch computes, and how large and fast it is.

    python benchmarks/onnx_parity.py [--only torchvision:resnet50,...]

Each network gets random weights and normalisations that are far from trivial, is traced, pruned by global l2 to half of
its MACs (or to the nearest tenth above that its frozen groups allow) and exported with a batch of any size. onnxruntime
runs the file on one input and on three; both outputs are compared with those of PyTorch. Sizes are those of the files,
latencies the fewest milliseconds of processor time for one input on one thread, the networks in turns. A second network
is pruned to the same limit with the default rounding of widths, to the blocks of onnxruntime's fast convolutions on
processors with AVX-512. The script continues where it was interrupted.
"""

import argparse
import json
import tempfile
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import machine
import torch
from builders import build
from torch import nn
from torch.utils._pytree import tree_leaves

from gnnrl.artifacts.inputs import differences
from gnnrl.artifacts.onnx import export_onnx, onnx_session, run_onnx
from gnnrl.errors import GnnrlError, UnreachableConstraint
from gnnrl.network.cost import measure
from gnnrl.network.structure import Network
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.importance import importance
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.rules import Multiple, WidthRules

RESULT = Path(__file__).parent / "results" / "onnx_parity.json"
NETWORKS = (
    "torchvision:resnet50",
    "torchvision:mobilenet_v3_large",
    "torchvision:vit_b_16",
    "timm:mobilevit_xxs",
    "torchvision:densenet121",
    "torchvision:efficientnet_b0",
    "torchvision:shufflenet_v2_x1_0",
    "torchvision:convnext_tiny",
    "torchvision:swin_t",
    "segmentation:lraspp_mobilenet_v3_large",
    "timm:levit_128s",
    "timm:coat_tiny",
    "timm:ghostnet_100",
)
LIMITS = tuple(f"macs<={share}%" for share in range(50, 100, 10))
BATCHES = (1, 3)
ROUND_TO = "auto"
REPEATS, SECONDS = 50, 6.0


@dataclass
class Parity:
    """What was found for one network; `problem` is empty where everything held."""

    name: str
    problem: str = ""
    macs_ratio: float = 0.0
    dynamic_batch: bool = False
    static_reason: str = ""
    absolute: float = 0.0
    relative: float = 0.0
    opset: int = 0
    dense_bytes: int = 0
    pruned_bytes: int = 0
    dense_ms: float = 0.0
    pruned_ms: float = 0.0
    rounded_ms: float = 0.0
    rounded_macs_ratio: float = 0.0
    rounded_relative: float = 0.0


def randomise(model: nn.Module) -> None:
    """Give normalisations statistics, scales and shifts of a trained network's kind, and zero parameters values."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.running_mean.normal_(0.0, 0.2, generator=generator)
                module.running_var.uniform_(0.5, 2.0, generator=generator)
            if isinstance(module, nn.modules.batchnorm._BatchNorm | nn.LayerNorm | nn.GroupNorm):
                if module.weight is not None:
                    module.weight.uniform_(0.5, 1.5, generator=generator)
                if module.bias is not None:
                    module.bias.normal_(0.0, 0.2, generator=generator)
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(0.0, 0.02, generator=generator)


def shrink(model: nn.Module, network: Network, round_to: Multiple = 1) -> tuple[nn.Module, float]:
    """Prune to the lowest limit that can be reached; the network and its share of the MACs."""
    rules = WidthRules(round_to=round_to)
    scores = importance("l2", model, network)
    for limit in LIMITS:
        try:
            plan = Plan.ranked(network, limit, scores, rules)
        except UnreachableConstraint:
            continue
        return remove(model, network, plan.kept or ()), measure(network, plan).macs / measure(network).macs
    raise UnreachableConstraint(f"not even {LIMITS[-1]} can be reached")


def check(name: str, folder: Path) -> Parity:
    """Prune, export and compare one network."""
    parity = Parity(name)
    model, inputs = build(name)
    randomise(model)
    try:
        network = trace(model, inputs)
        small, parity.macs_ratio = shrink(model, network)
        rounded, parity.rounded_macs_ratio = shrink(model, network, ROUND_TO)
        dense = export_onnx(model, inputs, folder / "dense.onnx", check=False)
        record = export_onnx(small, inputs, folder / "pruned.onnx")
        parity.rounded_relative = export_onnx(rounded, inputs, folder / "rounded.onnx").relative or 0.0
    except GnnrlError as error:
        parity.problem = f"{type(error).__name__}: {str(error)[:300]}"
        return parity
    parity.dense_bytes, parity.pruned_bytes, parity.opset = dense.size, record.size, record.opset or 0
    parity.dynamic_batch, parity.static_reason = record.dynamic_batch, record.static_reason
    kinds = ("dense", "pruned", "rounded")
    sessions = {kind: onnx_session(folder / f"{kind}.onnx", threads=torch.get_num_threads()) for kind in kinds}
    for batch in BATCHES if record.dynamic_batch else (1,):
        images = torch.randn(batch, *inputs.shape[1:])
        with torch.no_grad():
            result = small(images)
        expected = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        absolute, relative = differences(run_onnx(sessions["pruned"], [images]), expected)
        parity.absolute, parity.relative = max(parity.absolute, absolute), max(parity.relative, relative)
    best = latencies(sessions, inputs)
    parity.dense_ms, parity.pruned_ms, parity.rounded_ms = (best[kind] for kind in kinds)
    return parity


def latencies(sessions: dict[str, Any], inputs: torch.Tensor) -> dict[str, float]:
    """Fewest milliseconds of processor time of one input by each session; the sessions take turns."""
    best = dict.fromkeys(sessions, float("inf"))
    end = perf_counter() + SECONDS
    for repeat in range(REPEATS):
        for kind, session in sessions.items():
            start = process_time()
            run_onnx(session, [inputs])
            if repeat > 1:
                best[kind] = min(best[kind], 1e3 * (process_time() - start))
        if repeat > 5 and perf_counter() > end:
            break
    return best


def main() -> None:
    """Check all networks that were not checked yet, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names, joined by commas")
    parser.add_argument("--again", action="store_true", help="forget what was found before")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    known = {} if options.again or not RESULT.exists() else json.loads(RESULT.read_text())["networks"]
    wanted = options.only.split(",") if options.only else NETWORKS
    print(
        "| network | MACs | difference | relative | dense, MB | pruned, MB | dense, ms | pruned, ms | rounded, ms | |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for name in wanted:
        if name not in known or options.only:
            with tempfile.TemporaryDirectory() as folder:
                known[name] = asdict(check(name, Path(folder)))
            machine.write("onnx_parity", {**machine.describe(), **_versions(), "batches": BATCHES, "networks": known})
        _print(Parity(**known[name]))


def _versions() -> dict[str, str]:
    import onnx
    import onnxruntime

    return {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}


def _print(parity: Parity) -> None:
    print(
        f"| {parity.name} | {parity.macs_ratio:.3f} | {parity.absolute:.1e} | {parity.relative:.1e} | "
        f"{parity.dense_bytes / 1e6:.1f} | {parity.pruned_bytes / 1e6:.1f} | {parity.dense_ms:.1f} | "
        f"{parity.pruned_ms:.1f} | {parity.rounded_ms:.1f} | {parity.problem or parity.static_reason} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
