"""All searchers by name: gnnrl's own, those of other installed packages, and any importable function."""

from collections.abc import Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

from gnnrl.errors import ConfigError, choices
from gnnrl.imports import imported, require
from gnnrl.searchers import baselines
from gnnrl.searchers.annealing import anneal
from gnnrl.searchers.ddpg import DDPGSearcher
from gnnrl.searchers.evolution import evolve
from gnnrl.searchers.evolution_strategy import adapt
from gnnrl.searchers.greedy import netadapt
from gnnrl.searchers.ppo import PPOSearcher
from gnnrl.searchers.task import Searcher
from gnnrl.searchers.tpe import estimate

SEARCHERS: Mapping[str, Searcher] = MappingProxyType(
    {
        "ppo": PPOSearcher(),
        "ddpg": DDPGSearcher(),
        "amc": DDPGSearcher(start="ratio"),
        "cma": adapt,
        "tpe": estimate,
        "evolution": evolve,
        "annealing": anneal,
        "greedy": netadapt,
        "random": baselines.random,
        "random-prior": baselines.random_prior,
        "uniform": baselines.uniform,
        "ranked": baselines.ranked,
        "curves": baselines.curves,
    }
)
CLOSED_FORM = frozenset({"uniform", "ranked", "curves"})
_NEEDS = {"cma": "cma", "tpe": "optuna"}
ENTRY_POINTS = "gnnrl.searchers"


def find_searcher(searcher: str | type | Searcher) -> Searcher:
    """Return the searcher of a name. A function is returned unchanged, a class is instantiated.

    Args:
        searcher: a name of `SEARCHERS`, the name of an entry point in the group `gnnrl.searchers` of an installed
            package, `package.module:attribute` or `file.py:attribute`, or a searcher or its class.

    Raises:
        ConfigError: the name is unknown, the searcher or its package cannot be imported, or it is not callable. The
            message lists the names and suggests a similar one.
    """
    if not isinstance(searcher, str):
        return _made(searcher, repr(searcher))
    if searcher in _NEEDS:
        require(_NEEDS[searcher], "search")
    if searcher in SEARCHERS:
        return SEARCHERS[searcher]
    if ":" in searcher:
        with imported(searcher) as own:
            return _made(own, searcher)
    found = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if searcher not in found:
        known = [*SEARCHERS, *found]
        raise ConfigError(f"unknown searcher {searcher!r}; {choices(searcher, known)}, or your own as module:attribute")
    try:
        loaded = found[searcher].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"searcher {searcher!r} ({found[searcher].value}) cannot be imported: {error}") from error
    return _made(loaded, searcher)


def name_of(searcher: str | type | Searcher) -> str:
    """Return the name of a searcher for tables and files."""
    return searcher if isinstance(searcher, str) else getattr(searcher, "__name__", type(searcher).__name__)


def evaluations_of(searcher: str | type | Searcher, evaluations: int) -> int:
    """Return the number of evaluations that a searcher can use: one for a closed form, which has only one plan."""
    return 1 if isinstance(searcher, str) and searcher in CLOSED_FORM else evaluations


def _made(searcher: Any, name: str) -> Searcher:
    made: Any = searcher() if isinstance(searcher, type) else searcher
    if not callable(made):
        raise ConfigError(f"searcher {name} is not callable; give a function of a gnnrl.searchers.task.Task")
    found: Searcher = made
    return found
