"""measure_latency(model, network, example_inputs): the network with a model of its latency at any widths.

Each distinct layer is timed alone on a grid of its sizes. A few whole networks are timed to fit the rest of the model.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gnnrl.errors import ConfigError
from gnnrl.latency.kernels import Kernel, Variables, blocked, find_kernels
from gnnrl.latency.ledger import Ledger, name_of
from gnnrl.latency.stopwatch import Call, Clock, median_seconds
from gnnrl.latency.tables import Latency, Tables, monotone
from gnnrl.modules.modes import evaluating
from gnnrl.network.cost import CostFunction
from gnnrl.network.labels import Component
from gnnrl.network.polynomial import Peak
from gnnrl.network.structure import Network
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import as_arguments, unwrapped

_ANCHORS = (1.0, 0.75, 0.5, 0.3)
"""Shares of all widths at which whole networks are timed."""
_ROUNDS, _REPEATS = 5, 3
_NETWORK_ROUNDS = 9
_MILLISECONDS = 1e3


@torch.no_grad()
def measure_latency(
    model: nn.Module,
    network: Network,
    example_inputs: Any,
    *,
    clock: Clock = perf_counter,
    progress: Callable[[int, int], None] | None = None,
    ledger: Ledger | None = None,
) -> Network:
    """Measure the layers of a network on the device where it is, with as many threads as PyTorch uses now.

    Args:
        network: the result of `trace` for this model.
        example_inputs: the batch whose forward pass is limited.
        progress: called with (measurements done, measurements in all).
        ledger: known times, which are not measured again.

    Returns:
        The network with the metric `latency`, for limits such as `latency<=60%` or `latency<=5ms`.

    Raises:
        ConfigError: the network has no floating-point parameter.
    """
    model = unwrapped(model)
    like = _like(model)
    kernels, variables = find_kernels(network, like)
    tables = _tables(kernels, variables, like, len(network.cost.sizes.fixed), clock, progress, ledger or Ledger())
    peak = network.cost.metrics["activations"].form
    assert isinstance(peak, Peak)
    fixed = np.array(variables.fixed, np.int64)
    sizes = network.cost.sizes.extended(fixed, variables.counts)
    form = Latency(tables, peak.terms)
    anchors = np.array([[blocked(share, group.size) for group in network.groups] for share in _ANCHORS], np.int64)
    seconds = time_plans(model, network, example_inputs, anchors, clock=clock, ledger=ledger)
    fitted = _fitted(form, sizes.at(anchors), _MILLISECONDS * seconds)
    return replace(network, cost=network.cost.including("latency", CostFunction(sizes, fitted)))


def time_plans(
    model: nn.Module,
    network: Network,
    example_inputs: Any,
    plans: NDArray[np.int64],
    *,
    orders: Sequence[Component] | None = None,
    rounds: int = _NETWORK_ROUNDS,
    clock: Clock = perf_counter,
    ledger: Ledger | None = None,
) -> NDArray[np.float64]:
    """Measure the median seconds of a forward pass of each plan's pruned network; the networks take turns.

    Args:
        plans: widths [N, G].
        orders: removal order of each group's units; by default the first units are removed first.
        ledger: known times, which are not measured again.
    """
    orders = orders or [np.arange(group.size) for group in network.groups]

    def measure() -> NDArray[np.float64]:
        return time_models(pruned_models(model, network, plans, orders), example_inputs, rounds=rounds, clock=clock)

    return (ledger or Ledger()).seconds(name_of("plans", plans.tolist()), len(plans), measure)


def pruned_models(
    model: nn.Module, network: Network, plans: NDArray[np.int64], orders: Sequence[Component]
) -> list[nn.Module]:
    """Return the pruned network of each plan [N, G]; the first units of each group's order go."""
    kept = [[order[len(order) - width :] for order, width in zip(orders, plan, strict=True)] for plan in plans]
    return [remove(model, network, units) for units in kept]


@torch.no_grad()
def time_models(
    models: Sequence[nn.Module], example_inputs: Any, *, rounds: int = _NETWORK_ROUNDS, clock: Clock = perf_counter
) -> NDArray[np.float64]:
    """Measure the median seconds of a forward pass of each model, in evaluation mode; the models take turns."""
    makers = [partial(forward_pass, model, example_inputs) for model in models]
    with evaluating(nn.ModuleList(models)):
        return median_seconds(makers, rounds=rounds, repeats=_REPEATS, warm_up=2, clock=clock)


def forward_pass(model: nn.Module, example_inputs: Any) -> Call:
    """Return a function that runs a network once, and waits for the GPU if the inputs are there."""
    args, kwargs = as_arguments(example_inputs)
    tensors = [leaf for leaf in tree_leaves(example_inputs) if isinstance(leaf, Tensor)]
    on_gpu = any(tensor.device.type == "cuda" for tensor in tensors)

    def call() -> Any:
        result = model(*args, **kwargs)
        if on_gpu:
            torch.cuda.synchronize()
        return result

    return call


def _like(model: nn.Module) -> Tensor:
    for parameter in model.parameters():
        if parameter.is_floating_point():
            return parameter.detach().flatten()[:1]
    raise ConfigError(f"{type(model).__name__} has no floating-point parameter, so it has no layer to time")


def _tables(
    kernels: Sequence[Kernel],
    variables: Variables,
    like: Tensor,
    offset: int,
    clock: Clock,
    progress: Callable[[int, int], None] | None,
    ledger: Ledger,
) -> tuple[Tables, ...]:
    """Time each distinct kernel on its grid; `offset` is the index of the first row among the network's sizes."""
    distinct = {kernel.signature: kernel for kernel in kernels}
    grids = {name: variables.grid(kernel) for name, kernel in distinct.items()}
    points = [(name, point) for name, grid in grids.items() for point in product(*grid)]
    makers = [partial(distinct[name].at_point, point, like) for name, point in points]
    measure = partial(median_seconds, makers, rounds=_ROUNDS, repeats=_REPEATS, clock=clock, progress=progress)
    seconds = ledger.seconds(name_of("layers", points), len(points), measure)
    times: dict[str, list[float]] = {}
    for (name, _), value in zip(points, _MILLISECONDS * seconds, strict=True):
        times.setdefault(name, []).append(float(value))
    made = []
    for dims in sorted({len(kernel.free) for kernel in kernels}):
        alike = [kernel for kernel in kernels if len(kernel.free) == dims]
        grid = np.array([grids[kernel.signature] for kernel in alike], np.float64)
        shape = (grid.shape[2],) * dims
        smooth = [monotone(np.reshape(times[kernel.signature], shape)).ravel() for kernel in alike]
        made.append(Tables(np.array([kernel.free for kernel in alike]) + offset, grid, np.array(smooth)))
    return tuple(made)


def _fitted(form: Latency, sizes: NDArray[np.int64], measured: NDArray[np.float64]) -> Latency:
    """Fit the model to whole networks by least relative error, with no term that falls as widths grow.

    The constant is negative if layers cost more to call alone than in a network.
    """
    volume, ones = form.volume.value(sizes).astype(np.float64), np.ones(len(measured))
    most = max(float(volume.max()), 1.0)
    columns = np.stack([form.layers(sizes), volume / most, ones, -ones], 1)
    (scale, per_volume, more, less), _ = nnls(columns / measured[:, None], ones)
    return replace(form, scale=float(scale), constant=float(more - less), per_byte=float(per_volume) / most)
