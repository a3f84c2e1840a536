"""Small networks with every way of coupling channels that we know of, in one file for each kind."""

from tests.topologies import (
    attention,
    concatenations,
    contractions,
    cuts,
    gates,
    grouped,
    interfaces,
    normalisation,
    obstacles,
    plain,
    recurrent,
    residual,
    shared,
    transformers,
)
from tests.topologies.cases import NOTHING_TO_PRUNE, TOPOLOGIES, Topology, Traced, fresh, randomise, topology, traced
from tests.topologies.layers import Head, Module, conv, images

__all__ = [
    "NOTHING_TO_PRUNE",
    "TOPOLOGIES",
    "Head",
    "Module",
    "Topology",
    "Traced",
    "attention",
    "concatenations",
    "contractions",
    "conv",
    "cuts",
    "fresh",
    "gates",
    "grouped",
    "images",
    "interfaces",
    "normalisation",
    "obstacles",
    "plain",
    "randomise",
    "recurrent",
    "residual",
    "shared",
    "topology",
    "traced",
    "transformers",
]
