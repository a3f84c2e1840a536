"""gnnrl: shrink any PyTorch network to a size limit; a graph network and PPO decide how much of every layer to keep."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gnnrl.version import __version__
from gnnrl.views import register

if TYPE_CHECKING:
    from gnnrl.bundle import load as load
    from gnnrl.compression import compress as compress
    from gnnrl.environment import PruningEnv as PruningEnv
    from gnnrl.errors import GnnrlError as GnnrlError
    from gnnrl.exporting.onnx import export_onnx as export_onnx
    from gnnrl.exporting.patch import export_patch as export_patch
    from gnnrl.exporting.program import export_program as export_program
    from gnnrl.latency.measurement import measure_latency as measure_latency
    from gnnrl.network.cost import measure as measure
    from gnnrl.network.structure import Network as Network
    from gnnrl.network.tracer import trace as trace
    from gnnrl.pruning.importance import importance as importance
    from gnnrl.pruning.plan import Plan as Plan
    from gnnrl.pruning.pruner import prune as prune
    from gnnrl.pruning.rules import WidthRules as WidthRules
    from gnnrl.result import CompressionResult as CompressionResult
    from gnnrl.tradeoff import sweep as sweep

_HOMES = {
    "CompressionResult": "gnnrl.result",
    "GnnrlError": "gnnrl.errors",
    "Network": "gnnrl.network.structure",
    "Plan": "gnnrl.pruning.plan",
    "PruningEnv": "gnnrl.environment",
    "WidthRules": "gnnrl.pruning.rules",
    "compress": "gnnrl.compression",
    "export_onnx": "gnnrl.exporting.onnx",
    "export_patch": "gnnrl.exporting.patch",
    "export_program": "gnnrl.exporting.program",
    "importance": "gnnrl.pruning.importance",
    "load": "gnnrl.bundle",
    "measure": "gnnrl.network.cost",
    "measure_latency": "gnnrl.latency.measurement",
    "prune": "gnnrl.pruning.pruner",
    "sweep": "gnnrl.tradeoff",
    "trace": "gnnrl.network.tracer",
}

register(
    {
        "network as text": ("gnnrl.network.description", "describe"),
        "network as HTML": ("gnnrl.report.notebook", "show_network"),
        "plan as HTML": ("gnnrl.report.notebook", "show_plan"),
    }
)

__all__ = [
    "CompressionResult",
    "GnnrlError",
    "Network",
    "Plan",
    "PruningEnv",
    "WidthRules",
    "__version__",
    "compress",
    "export_onnx",
    "export_patch",
    "export_program",
    "importance",
    "load",
    "measure",
    "measure_latency",
    "prune",
    "sweep",
    "trace",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that `import gnnrl` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'gnnrl' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
