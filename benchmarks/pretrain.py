"""Train a network from scratch on the training split alone, so that it has never seen the images of the reward.

    python benchmarks/pretrain.py --data cifar10-jpeg --model cifar-resnet20 --epochs 30 --out resnet20.safetensors

The models are cifar-resnetN and those of benchmarks/networks.py (conv_next, mobilenet, ...). Prints the accuracy on the
reward and on the test images: for weights that have seen neither, the two agree.
"""

import argparse
from pathlib import Path
from time import perf_counter

import machine
import networks
import torch
from safetensors.torch import save_file
from small_networks import train
from torch import nn

from gnnrl.training import evaluator, finetune
from gnnrl.zoo.data import DataSplits, load_data
from gnnrl.zoo.models import resolve_model


def build(name: str) -> nn.Module:
    """A network of the benchmarks by its name."""
    own = getattr(networks, name, None)
    return own() if own else resolve_model(name)


def load_splits(path: str) -> DataSplits:
    """The images as all networks of the benchmarks take them."""
    return load_data(path, image_size=(32, 32), mean=networks.MEAN, std=networks.STD)


def main() -> None:
    """Train, judge once, save."""
    options = _options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    model, splits = build(options.model), load_splits(options.data)
    print("\n".join(f"{name}: {value}" for name, value in machine.describe().items()), flush=True)
    start = perf_counter()
    if options.adamw:
        train(model, splits.train, options.epochs)
    else:
        _descend(model, splits, options)
    model.eval()
    scores = {name: evaluator(split, precision="bfloat16")(model) for name, split in _judged(splits)}
    print(f"{options.model}: {options.epochs} epochs", end="")
    print("".join(f", {name} {score:.2%}" for name, score in scores.items()), f"{perf_counter() - start:.0f} s")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, options.out)


def _descend(model: nn.Module, splits: DataSplits, options: argparse.Namespace) -> None:
    start = perf_counter()
    finetune(
        model,
        splits.train,
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        augment="flip-crop",
        seed=options.seed,
        precision="bfloat16",
        on_progress=lambda step, total, loss: (
            print(f"step {step} of {total}, loss {loss:.3f}, {perf_counter() - start:.0f} s", flush=True)
            if step % 100 == 0
            else None
        ),
    )


def _judged(splits: DataSplits) -> list[tuple[str, object]]:
    return [("reward", splits.reward), ("test", splits.test)]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with train and test archives of class folders")
    parser.add_argument("--model", default="cifar-resnet20")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--adamw", action="store_true", help="for networks without BatchNorm, at its own learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
