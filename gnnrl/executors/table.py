"""All executors by name, and an executor for as long as a search takes."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from gnnrl.errors import ConfigError, choices
from gnnrl.executors.process import ProcessExecutor
from gnnrl.executors.ray_cluster import RayExecutor
from gnnrl.executors.serial import SerialExecutor
from gnnrl.scoring.plans import Executor, Scorer

EXECUTORS: Mapping[str, Callable[..., Executor]] = MappingProxyType(
    {"serial": SerialExecutor, "process": ProcessExecutor, "ray": RayExecutor}
)


def find_executor(executor: str | Executor, *, workers: int | None = None, address: str | None = None) -> Executor:
    """The executor of this name; an executor is returned as it is.

    Args:
        workers: number of workers, for "process" and "ray"; by default one for each processor.
        address: of a running cluster, for "ray"; by default one is started on this machine.

    Raises:
        ConfigError: there is no executor of this name, or it does not take the setting.
    """
    if not isinstance(executor, str):
        return executor
    if executor not in EXECUTORS:
        raise ConfigError(f"there is no executor {executor!r}; {choices(executor, EXECUTORS)}")
    if executor == "serial" and workers not in (None, 1):
        raise ConfigError(f"executor 'serial' judges plans in this process; for {workers} workers choose 'process'")
    if executor != "ray" and address is not None:
        raise ConfigError(f"executor {executor!r} takes no address; for {address} choose 'ray'")
    settings: dict[str, Any] = {} if executor == "serial" else {"workers": workers}
    return EXECUTORS[executor](**settings, **({"address": address} if executor == "ray" else {}))


@contextmanager
def started(executor: Executor, scorer: Scorer) -> Iterator[Executor]:
    """Start an executor, and close it afterwards, whatever happens."""
    executor.start(scorer)
    try:
        yield executor
    finally:
        executor.close()
