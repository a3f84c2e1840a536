"""Plans judged by actors of a Ray cluster: one begun on this machine, or a running one.

Ray restarts and repeats nothing here: `Scheduler` does, as for processes, so that an evaluation counts once. The judge
is put into the cluster's object store once, and goes to each node once; nothing of it is kept on a disk.

Moritz et al. 2018, "Ray: A Distributed Framework for Emerging AI Applications", https://arxiv.org/abs/1712.05889.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import torch

from gnnrl.errors import ConfigError
from gnnrl.executors.employment import CrewExecutor
from gnnrl.executors.outcome import Outcome, outcome_of
from gnnrl.executors.process import unsendable
from gnnrl.executors.ray_connection import connect, demand_token
from gnnrl.executors.scheduling import Answer, Event, Lost, Patience, Ready
from gnnrl.imports import folders, require
from gnnrl.scoring.plans import Judge, Widths


class RayExecutor(CrewExecutor):
    """Judges in actors of a Ray cluster.

    Args:
        workers: actors; by default as many as the cluster has processors. Those that there is no room for yet begin
            when there is.
        address: of a running cluster, such as "auto" or "ray://head:10001"; by default one is begun on this machine,
            and ended by `close`; only who knows its random token can talk to it, unless ray was imported before or
            RAY_AUTH_MODE says otherwise.
        threads: processors, and threads, of each actor.
        gpus: graphics processors of each actor; parts of one are possible.
        timeout: seconds that an evaluation may take, after which its actor is replaced.
        retries: how often an evaluation is repeated whose actor or machine was lost, or took too long.
        straggler: see `gnnrl.executors.scheduling.Patience`.
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

    def start(self, judge: Judge) -> None:
        """Take what all plans from here on are judged with; actors begin with the first plans.

        Raises:
            ConfigError: a part of the judge cannot be sent; the message names it.
            ResourceError: there is no cluster at the address.
        """
        self.close()
        try:
            payload = self._ray.cloudpickle.dumps(judge)
        except Exception as error:
            raise ConfigError(unsendable(judge, error, self._ray.cloudpickle.dumps)) from error
        processors = (self.workers or os.cpu_count() or 1) * self._threads
        own = connect(self._ray, self._address, processors, self._runtime_env)
        options = {"num_cpus": self._threads, "num_gpus": self._gpus, "max_restarts": 0, "max_task_retries": 0}
        crew = _Actors(self._ray, self._ray.put(payload), options, ends_cluster=own)
        workers = self.workers or max(int(self._ray.cluster_resources().get("CPU", 1)) // self._threads, 1)
        self.employ(crew, workers)


class _Worker:
    """What an actor does: unpickle the judge once, then judge one plan after another; what it prints goes to stderr."""

    def __init__(self, payload: bytes, threads: int, known: Sequence[str]) -> None:
        self._payload = payload
        self._judge: Judge | None = None
        os.dup2(2, 1)
        torch.set_num_threads(threads)
        sys.path.extend(folder for folder in known if folder not in sys.path)

    def load(self) -> str | None:
        """Unpickle the judge; return why that is impossible here, None if it is not."""
        from ray import cloudpickle

        try:
            self._judge, self._payload = cloudpickle.loads(self._payload), b""
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return None

    def judge(self, plan: Widths) -> Outcome:
        """Judge a plan."""
        assert self._judge is not None
        return outcome_of(self._judge, plan)


class _Actors:
    """A crew of actors; see `gnnrl.executors.scheduling.Crew`."""

    def __init__(self, ray: Any, payload: Any, options: Mapping[str, Any], *, ends_cluster: bool) -> None:
        self._ray, self._payload, self._threads = ray, payload, options["num_cpus"]
        self._kind = ray.remote(**options)(_Worker)
        self._ends_cluster = ends_cluster
        self._actors: dict[int, Any] = {}
        self._awaited: dict[Any, tuple[int, bool]] = {}
        self._numbers = count()

    def hire(self) -> int:
        number = next(self._numbers)
        self._actors[number] = self._kind.remote(self._payload, self._threads, folders())
        self._awaited[self._actors[number].load.remote()] = (number, True)
        return number

    def send(self, worker: int, plan: Widths) -> None:
        self._awaited[self._actors[worker].judge.remote(plan)] = (worker, False)

    def wait(self, seconds: float) -> list[Event]:
        awaited = list(self._awaited)
        if not awaited:
            time.sleep(seconds)
            return []
        done, _ = self._ray.wait(awaited, timeout=seconds)
        if done:
            done, _ = self._ray.wait(awaited, num_returns=len(awaited), timeout=0)
        return [self._heard(answer) for answer in done]

    def _heard(self, answer: Any) -> Event:
        worker, is_first = self._awaited.pop(answer)
        try:
            said = self._ray.get(answer)
        except self._ray.exceptions.RayError as error:
            self.dismiss(worker)
            return Lost(worker, f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
        if not is_first:
            return Answer(worker, said)
        if said is not None:
            raise ConfigError(
                f"the cluster cannot load what judges plans ({said}). Have the modules of network and evaluation "
                "function on all machines, or send them with runtime_env={'working_dir': '.'}"
            )
        return Ready(worker)

    def dismiss(self, worker: int) -> None:
        actor = self._actors.pop(worker)
        self._awaited = {answer: at for answer, at in self._awaited.items() if at[0] != worker}
        with suppress(Exception):
            self._ray.kill(actor, no_restart=True)

    def close(self) -> None:
        for number in list(self._actors):
            self.dismiss(number)
        self._payload = None
        if self._ends_cluster:
            self._ray.shutdown()
