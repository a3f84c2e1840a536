"""gnnrl: shrink any PyTorch network to a size limit; a graph network and PPO decide how much of every layer to keep."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gnnrl.imports import beyond_the_core
from gnnrl.moved import MovedModules
from gnnrl.version import __version__
from gnnrl.views import register

if TYPE_CHECKING:
    from gnnrl.artifacts.bundle import load as load
    from gnnrl.artifacts.onnx import export_onnx as export_onnx
    from gnnrl.artifacts.patch import export_patch as export_patch
    from gnnrl.artifacts.program import export_program as export_program
    from gnnrl.compression.pipeline import compare as compare
    from gnnrl.compression.pipeline import compress as compress
    from gnnrl.compression.pipeline import sweep as sweep
    from gnnrl.compression.result import CompressionResult as CompressionResult
    from gnnrl.compression.study import Study as Study
    from gnnrl.environment import PruningEnv as PruningEnv
    from gnnrl.errors import GnnrlError as GnnrlError
    from gnnrl.latency.measurement import measure_latency as measure_latency
    from gnnrl.network.cost import measure as measure
    from gnnrl.network.structure import Network as Network
    from gnnrl.network.tracing.tracer import trace as trace
    from gnnrl.pruning.importance import importance as importance
    from gnnrl.pruning.plan import Plan as Plan
    from gnnrl.pruning.pruner import prune as prune
    from gnnrl.pruning.rules import WidthRules as WidthRules

_HOMES = {
    "CompressionResult": "gnnrl.compression.result",
    "GnnrlError": "gnnrl.errors",
    "Network": "gnnrl.network.structure",
    "Plan": "gnnrl.pruning.plan",
    "PruningEnv": "gnnrl.environment",
    "WidthRules": "gnnrl.pruning.rules",
    "Study": "gnnrl.compression.study",
    "compare": "gnnrl.compression.pipeline",
    "compress": "gnnrl.compression.pipeline",
    "export_onnx": "gnnrl.artifacts.onnx",
    "export_patch": "gnnrl.artifacts.patch",
    "export_program": "gnnrl.artifacts.program",
    "importance": "gnnrl.pruning.importance",
    "load": "gnnrl.artifacts.bundle",
    "measure": "gnnrl.network.cost",
    "measure_latency": "gnnrl.latency.measurement",
    "prune": "gnnrl.pruning.pruner",
    "sweep": "gnnrl.compression.pipeline",
    "trace": "gnnrl.network.tracing.tracer",
}

register(
    {
        "network as text": ("gnnrl.network.description", "describe"),
        "network as HTML": ("gnnrl.report.notebook", "show_network"),
        "plan as HTML": ("gnnrl.report.notebook", "show_plan"),
    }
)

_MOVED = {
    "gnnrl.bundle": "gnnrl.artifacts.bundle",
    "gnnrl.comparison": "gnnrl.compression.pipeline",
    "gnnrl.evaluation": "gnnrl.scoring.plans",
    "gnnrl.exporting.formats": "gnnrl.artifacts.formats",
    "gnnrl.exporting.onnx": "gnnrl.artifacts.onnx",
    "gnnrl.exporting.patch": "gnnrl.artifacts.patch",
    "gnnrl.exporting.program": "gnnrl.artifacts.program",
    "gnnrl.exporting": "gnnrl.artifacts",
    "gnnrl.figures": "gnnrl.compression.figures",
    "gnnrl.judges": "gnnrl.scoring.adapters",
    "gnnrl.network.tracer": "gnnrl.network.tracing.tracer",
    "gnnrl.per_class": "gnnrl.scoring.classes",
    "gnnrl.study": "gnnrl.compression.study",
    "gnnrl.tradeoff": "gnnrl.compression.pipeline",
}
sys.meta_path.insert(0, MovedModules(_MOVED))

__all__ = [
    "CompressionResult",
    "GnnrlError",
    "Network",
    "Plan",
    "PruningEnv",
    "Study",
    "WidthRules",
    "__version__",
    "compare",
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
    with beyond_the_core(f"gnnrl.{name}"):
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
