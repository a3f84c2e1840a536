"""A model of latency fitted to whole networks, for engines in which no layer can be timed alone.

Engines fuse layers and reorder memory, so that a layer alone takes another time than in its network. Here a few pruned
networks are timed whole. Their time is explained by the multiply-accumulates of each kind of operation, by the bytes of
all results, and by a constant.

T = terms of the multiply-accumulates, N = networks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from gnnrl.latency.tables import Floats, Latency
from gnnrl.network.cost import CostFunction
from gnnrl.network.labels import Component
from gnnrl.network.polynomial import Peak, Polynomial
from gnnrl.network.structure import Network, Operation

SHARES = (1.0, 0.85, 0.7, 0.55, 0.4)
"""Shares of all widths of the networks that are timed first."""
_RANDOM = 7
"""Networks whose groups have other shares each; with these the kinds of operations can be told apart."""
_LEAST_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Rates:
    """The time of all multiply-accumulates, each kind of operation at a rate of its own.

    Attributes:
        macs: the terms of the multiply-accumulates.
        rates: milliseconds of one multiply-accumulate of each term [T].
    """

    macs: Polynomial
    rates: Floats

    def value(self, sizes: NDArray[np.int64]) -> Floats:
        """Return the milliseconds [...] for sizes [..., S]."""
        return np.asarray(self.macs.terms(sizes) @ self.rates)

    def gradient(self, sizes: NDArray[np.int64]) -> Floats:
        """Return the derivatives [N, S] with respect to each size [N, S]."""
        return self.macs.gradient(sizes, np.broadcast_to(self.rates, (len(sizes), len(self.rates))))


def sample_plans(network: Network, ladders: Sequence[Component]) -> NDArray[np.int64]:
    """Return the plans [N, G] to time: all groups at one share, then each at a random one, on the allowed widths."""
    draws = np.random.default_rng(0).uniform(_LEAST_SHARE, 1.0, (_RANDOM, len(ladders)))
    shares = np.concatenate([np.repeat(np.array(SHARES)[:, None], len(ladders), 1), draws])
    chosen = [
        ladder[np.abs(ladder - size * share[:, None]).argmin(1)]
        for ladder, size, share in zip(ladders, network.widths, shares.T, strict=True)
    ]
    return np.unique(np.stack(chosen, 1), axis=0)[::-1]


def fit_rates(network: Network, plans: NDArray[np.int64], milliseconds: Floats, dense: float) -> CostFunction:
    """Fit the model to the times [N] of plans [N, G] by least relative error; no rate is negative.

    Args:
        dense: milliseconds of the dense network that shares refer to.
    """
    cost = network.cost
    macs, peak = cost.metrics["macs"].form, cost.metrics["activations"].form
    assert isinstance(macs, Polynomial)
    assert isinstance(peak, Peak)
    sizes = cost.sizes.at(plans)
    kinds, members = np.unique(
        [_kind(network, network.operations[each]) for each in cost.operations], return_inverse=True
    )
    terms = macs.terms(sizes).astype(np.float64)
    by_kind = np.stack([terms[:, members == kind].sum(1) for kind in range(len(kinds))], 1)
    volume, ones = peak.terms.value(sizes).astype(np.float64), np.ones((len(plans), 1))
    columns = np.concatenate([by_kind, volume[:, None], ones], 1)
    scale = np.maximum(columns.max(0), 1e-12)
    found = nnls(columns / scale / milliseconds[:, None], np.ones(len(plans)))[0] / scale
    *rates, per_byte, constant = found
    of_layers = Rates(macs, np.array(rates)[members])
    form = Latency((of_layers,), peak.terms, constant=constant, per_byte=per_byte, reference=dense)
    return CostFunction(cost.sizes, form)


def _kind(network: Network, operation: Operation) -> str:
    """Return the kind of an operation: those of one kind take the same time for each multiply-accumulate."""
    if "conv" not in operation.name:
        return operation.name
    if int(operation.settings["groups"]) > 1:
        return f"{operation.name}, grouped"
    weight = operation.parameters.get("weight")
    window = network.shapes[weight][2:] if weight else ()
    return f"{operation.name}, {'pointwise' if all(size == 1 for size in window) else 'spatial'}"
