"""Networks that cannot be pruned, or only in part: kinds 1 to 24."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gnnrl.network.cost import measure
from gnnrl.network.obstacles import find_obstacles, shorten
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.pruner import prune
from tests.inputs import networks
from tests.inputs.case import Case, Said, call, command
from tests.inputs.networks import chain, images


def shrunk(model: nn.Module, inputs: Any = None) -> str:
    """Remove channels for real until 70 % of the MACs are left, verify, and say what stays whole and why."""
    inputs = images() if inputs is None else inputs
    network = trace(model, inputs)
    plan = Plan.uniform(network, "macs<=70%")
    prune(model, inputs, plan, network=network)
    told = [f"pruned and verified: {measure(network, plan).macs / measure(network).macs:.0%} of the MACs"]
    told += [f"whole: {shorten(each.groups)} ({each.reason}): {each.remedy}" for each in find_obstacles(network)]
    return "; ".join(told)


def tried(build: Callable[[], nn.Module], inputs: Any = None) -> Callable[[], Said]:
    return lambda: call(lambda: shrunk(build(), inputs))


def without_gradients() -> Said:
    with torch.inference_mode():
        return call(lambda: shrunk(chain()))


def poisoned() -> nn.Module:
    model = chain()
    with torch.no_grad():
        model[2].weight[0] = float("nan")
    return model


def outputs_kept() -> str:
    network = trace(chain(out=10), images())
    plan = Plan.uniform(network, "macs<=50%")
    return f"pruned and verified: the output is still {list(prune(chain(out=10), images(), plan)(images()).shape)}"


def quantized() -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(chain().eval(), {nn.Linear}, torch.qint8)


def huge() -> Said:
    Path("own.py").write_text(HUGE)
    return command("inspect", "own.py:network", "--input-shape", "1,16777216")


def tokens() -> Tensor:
    return torch.arange(6).reshape(2, 3)


STATED = r"(?<=size itself \().*?(?=\)\):)"
EXPORT = r"(?<=torch\.export says: ).*(?=\. Rewrite this)"
FORWARD = r"(?<=\): ).*(?=\. Give example_inputs)"
HUGE = """
from torch import nn


def network():
    return nn.Linear(2**24, 2**24)
"""

CASES = (
    Case(
        1,
        "a network without layers to prune",
        tried(lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 5))),
        3,
        ("1 gives its output", "another one reads"),
    ),
    Case(
        2,
        "all parameters frozen (`requires_grad=False`)",
        tried(lambda: chain().requires_grad_(False)),
        0,
        ("pruned and verified",),
    ),
    Case(3, "a call inside `torch.inference_mode()`", without_gradients, 0, ("pruned and verified",)),
    Case(4, "a functional convolution on a parameter of one's own", tried(networks.Raw), 0, ("pruned and verified",)),
    Case(5, "a classifier that nobody excluded", lambda: call(outputs_kept), 0, ("is still [2, 10]",)),
    Case(
        6,
        "`view(-1, 512)` in the code",
        tried(networks.Constant),
        0,
        ("whole: last", "states this size itself", "x.shape[1]"),
        foreign=STATED,
    ),
    Case(
        7, "`nn.TransformerEncoderLayer`", tried(networks.attention, torch.zeros(2, 4, 8)), 0, ("pruned and verified",)
    ),
    Case(8, "`nn.PixelShuffle`", tried(networks.shuffling), 0, ("pruned and verified",)),
    Case(
        8,
        "`split([5, 11], 1)`",
        tried(networks.Cut),
        0,
        ("whole: 2 layers: body", "take the size from the tensor"),
        foreign=STATED,
    ),
    Case(9, "`weight_norm` and `spectral_norm`", tried(networks.weight_normed), 0, ("pruned and verified",)),
    Case(10, "a layer that is used twice", tried(networks.Twice, torch.zeros(2, 6)), 0, ("pruned and verified",)),
    Case(10, "an embedding whose weights are the head's", tried(networks.Tied, tokens()), 0, ("pruned and verified",)),
    Case(11, "`y[:, 3:7] = 0` and operations in place", tried(networks.Assigns), 0, ("whole: body", "cut by shares")),
    Case(
        12,
        "`if y.mean() > 0:` in `forward`",
        tried(networks.Branches),
        3,
        ("networks.py:", "torch.where"),
        foreign=EXPORT,
    ),
    Case(13, "NumPy in `forward`", tried(networks.Numpy), 3, ("networks.py:", "without it"), foreign=EXPORT),
    Case(
        14, "dropout left in training mode", tried(lambda: chain(nn.Dropout(0.5)).train()), 0, ("pruned and verified",)
    ),
    Case(14, "random numbers in `forward`", tried(networks.Noisy), 0, ("pruned and verified",)),
    Case(15, "a network that was pruned before", tried(networks.half_pruned), 0, ("pruned and verified",)),
    Case(15, "a network in `torch.compile`", tried(lambda: torch.compile(chain())), 0, ("pruned and verified",)),
    Case(15, "a network in `DataParallel`", tried(lambda: nn.DataParallel(chain())), 0, ("pruned and verified",)),
    Case(15, "a quantized network", tried(quantized), 3, ("4 (Linear)", "quantize the result")),
    Case(
        15,
        "a TorchScript network",
        tried(lambda: torch.jit.trace(chain(), images())),
        3,
        ("TorchScript", "give the network"),
    ),
    Case(
        16,
        "a lazy module that never ran",
        tried(lambda: chain(nn.LazyConv2d(16, 1))),
        3,
        ("1.weight is not initialised", "run the model once"),
    ),
    Case(
        17,
        "`nn.LSTM`",
        tried(lambda: networks.Recurrent(nn.LSTM), torch.zeros(2, 4, 8)),
        0,
        ("pruned and verified",),
    ),
    Case(
        17,
        "`nn.GRU`",
        tried(lambda: networks.Recurrent(nn.GRU), torch.zeros(2, 4, 8)),
        0,
        ("pruned and verified",),
    ),
    Case(
        17,
        "an operation without a rule",
        tried(lambda: chain(networks.Bessel())),
        0,
        ("special_i0 has no rule", "CONTRIBUTING.md"),
    ),
    Case(18, "grouped and depthwise convolutions", tried(networks.Grouped), 0, ("pruned and verified",)),
    Case(
        19,
        "a layer of one channel",
        tried(lambda: chain(nn.Conv2d(16, 1, 1), nn.Conv2d(1, 16, 1))),
        0,
        ("pruned and verified",),
    ),
    Case(20, "weights that are NaN", tried(poisoned), 3, ("2.weight holds NaN", "load finite weights")),
    Case(21, "bfloat16", tried(lambda: chain().bfloat16(), images().bfloat16()), 0, ("pruned and verified",)),
    Case(21, "float16", tried(lambda: chain().half(), images().half()), 0, ("pruned and verified",)),
    Case(21, "float64", tried(lambda: chain().double(), images().double()), 0, ("pruned and verified",)),
    Case(
        21,
        "complex numbers",
        tried(lambda: chain(nn.Identity()).to(torch.complex64), images().to(torch.complex64)),
        3,
        ("0.weight holds complex numbers", "real numbers"),
    ),
    Case(
        22,
        "inputs in a dictionary, outputs in a named tuple",
        tried(networks.Structured, {"pixels": images(), "mask": None}),
        0,
        ("pruned and verified",),
    ),
    Case(
        23,
        "an example input of another shape",
        tried(chain, images(side=7)),
        2,
        ("float32 [2, 3, 7, 7] on cpu", "Give example_inputs"),
        foreign=FORWARD,
    ),
    Case(
        23,
        "an example input of another type",
        tried(chain, images().double()),
        2,
        ("float64 [2, 3, 8, 8]", "Give example_inputs"),
        foreign=FORWARD,
    ),
    Case(
        23,
        "an example input on another device",
        tried(chain, images().to("meta")),
        2,
        ("on meta", "Give example_inputs"),
        foreign=FORWARD,
    ),
    Case(
        23,
        "one image, batch normalisation in training mode",
        tried(lambda: chain(nn.BatchNorm2d(16)).train(), images(1)),
        0,
        ("pruned and verified",),
    ),
    Case(
        24,
        'a network without data (`device="meta"`)',
        tried(lambda: chain().to("meta"), images().to("meta")),
        3,
        ("0.weight has no data", "load its weights"),
    ),
    Case(
        24,
        "a network that is larger than memory",
        huge,
        8,
        ("not enough memory", "smaller batches"),
        foreign=r"(?<=memory: ).*(?=\. Use)",
    ),
)
