"""Plans judged by actors of a Ray cluster, which is started on this machine or runs already.

Ray restarts and repeats nothing here. `Scheduler` does, as for processes, so that both have one contract. The judge is
put into the cluster's object store once, and sent to each node once; it is not kept on a disk.

Moritz et al. 2018, "Ray: A Distributed Framework for Emerging AI Applications", https://arxiv.org/abs/1712.05889.
"""

import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gnnrl.errors import ConfigError, ResourceError
from gnnrl.executors.process import pickled
from gnnrl.executors.scheduling import Patience, Worker, WorkerExecutor
from gnnrl.executors.worker import begin, load
from gnnrl.imports import folders, require
from gnnrl.scoring.plans import Scorer


class RayExecutor(WorkerExecutor):
    """Judges in actors of a Ray cluster.

    Args:
        workers: actors; by default as many as the cluster has processors. Those for which there is no room yet start
            when there is.
        address: of a running cluster, such as "auto" or "ray://head:10001"; by default a cluster is started on this
            machine, and ended by `close`. Only processes that know its random token can talk to it, unless ray was
            imported before or RAY_AUTH_MODE says otherwise.
        threads: processors, and threads, of each actor.
        gpus: graphics processors of each actor; fractions are possible.
        timeout, retries, straggler: see `gnnrl.executors.scheduling.Patience`.
        runtime_env: what the machines of a cluster need to import your modules; see Ray's "runtime environments".

    Raises:
        ConfigError: ray is not installed, or a number is out of its range.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        address: str | None = None,
        threads: int = 1,
        gpus: float = 0.0,
        timeout: float | None = None,
        retries: int = 2,
        straggler: float | None = 4.0,
        runtime_env: Mapping[str, Any] | None = None,
    ) -> None:
        if address is None:
            demand_token()
        self._ray = require("ray", "ray")
        if (workers is not None and workers < 1) or threads < 1 or gpus < 0:
            raise ConfigError(f"workers and threads must be at least 1, got {workers} and {threads}")
        self.workers, self._address, self._threads, self._gpus = workers, address, threads, gpus
        self._runtime_env = runtime_env
        super().__init__(Patience(timeout, retries, straggler))

    def start(self, scorer: Scorer) -> None:
        """Take what all plans from here on are judged with; actors start with the first plans.

        Raises:
            ConfigError: a part of the scorer cannot be sent; the message names it.
            ResourceError: there is no cluster at the address.
        """
        self.close()
        payload = pickled(scorer, self._ray.cloudpickle.dumps)
        processors = (self.workers or os.cpu_count() or 1) * self._threads
        own = connect(self._ray, self._address, processors, self._runtime_env)
        stored = self._ray.put(payload)
        kind = self._ray.remote(num_cpus=self._threads, num_gpus=self._gpus, max_restarts=0, max_task_retries=0)(_Actor)

        def hire() -> "tuple[Worker, Future[str | None]]":
            worker = _RayWorker(self._ray, kind.remote(self._threads, folders()))
            return worker, worker.submit(load, stored)

        workers = self.workers or max(int(self._ray.cluster_resources().get("CPU", 1)) // self._threads, 1)
        self.employ(hire, workers, *([self._ray.shutdown] if own else []))


class _Actor:
    """A process of the cluster that calls functions."""

    def __init__(self, threads: int, known: Sequence[str]) -> None:
        os.dup2(2, 1)  # what Ray passes on as stdout would stand among the results
        begin(threads, known)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function."""
        return function(*arguments)


@dataclass(frozen=True, eq=False)
class _RayWorker:
    """A handle to an actor; see `scheduling.Worker`."""

    ray: Any
    actor: Any

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> "Future[Any]":
        found: Future[Any] = self.actor.call.remote(function, *arguments).future()
        return found

    def end(self, error: BaseException | None = None) -> str:
        with suppress(Exception):
            self.ray.kill(self.actor, no_restart=True)
        return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def demand_token() -> None:
    """Have clusters of this process refuse whoever does not know its token; Ray reads this when it is imported."""
    if "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))


def connect(ray: Any, address: str | None, processors: int, runtime_env: Mapping[str, Any] | None) -> bool:
    """Start a cluster on this machine, or join one; the process keeps its own handling of signals.

    Args:
        address: of a running cluster; None for a new one on this machine, which may use `processors`.

    Returns:
        True if this call did it, False if the process is in a cluster already.

    Raises:
        ResourceError: there is no cluster at the address.
    """
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    settings: dict[str, Any] = {"address": address, "logging_level": "WARNING"}
    if address is None:
        settings |= {"address": "local", "num_cpus": processors, "include_dashboard": False}
    if runtime_env is not None:
        settings["runtime_env"] = dict(runtime_env)
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**settings)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ResourceError(f"there is no Ray cluster at {address or 'this machine'}: {error}") from error
    finally:
        if is_main and handler is not None:
            signal.signal(signal.SIGTERM, handler)
    return True
