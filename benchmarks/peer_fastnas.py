"""ModelOpt's FastNAS on a network of the benchmarks, in the environment where it is installed.

    pip install nvidia-modelopt==0.47.0 torchprofile==0.0.4
    python benchmarks/peer_fastnas.py --data cifar10-jpeg --weights resnet56_cifar10_jpeg.safetensors \
        --model cifar-resnet56 --out fastnas-resnet56.safetensors

It gets the limit, the calibration images for BatchNorm statistics (50 batches of 20, which fill its queue) and the
reward of all others; widths are multiples of 2. It counts two operations for each multiply-accumulate. Its graph ends
at the padding shortcut, so only inner widths are searched.
`benchmarks/finetune.py` reads the file, counts and trains. Its own checkpoint, beside the file, is continued.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from safetensors.torch import save_file
from subject import Subject, parser

from gnnrl.network.cost import Budget
from gnnrl.zoo.batches import batched

DIVISOR = 2
BATCH = 20


def main(arguments: Sequence[str] | None = None) -> None:
    """Search, then write the pruned network's tensors."""
    import modelopt.torch.prune as mtp

    options = _options(arguments)
    subject = Subject.load(options)
    dense = subject.network.cost.measure(subject.network.widths)
    ((metric, limit),) = Budget.of(options.constraint, dense).limits
    if metric != "macs":
        raise SystemExit("FastNAS is given a limit of macs here")
    calls, start = 0, perf_counter()

    def score(model: Any) -> float:
        nonlocal calls
        calls += 1
        print(f"  evaluation {calls}, {perf_counter() - start:.0f} s", flush=True)
        return subject.reward(model)

    divisors = {"channel_divisor": DIVISOR}
    rules = {
        "nn.Conv2d": {"*": divisors},
        "nn.BatchNorm2d": {"*": {"feature_divisor": DIVISOR}},
        "nn.Linear": {"*": {"feature_divisor": DIVISOR}},
    }
    pruned, _ = mtp.prune(
        model=subject.model,
        mode=[("fastnas", rules)],
        constraints={"flops": 2.0 * limit},
        dummy_input=subject.inputs[0],
        config={
            "data_loader": batched(subject.splits.calibration, BATCH),
            "collect_func": lambda batch: batch[0],
            "score_func": score,
            "checkpoint": str(options.out.with_suffix(".pth")),
        },
    )
    tensors = {name: tensor.contiguous() for name, tensor in pruned.state_dict().items()}
    save_file(tensors, options.out, {"evaluations": str(calls), "seconds": f"{perf_counter() - start:.0f}"})
    print(f"{calls} evaluations, {perf_counter() - start:.0f} s")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    found = parser(__doc__)
    found.add_argument("--out", type=Path, required=True, help="safetensors of the pruned network")
    return found.parse_args(arguments)


if __name__ == "__main__":
    main()
