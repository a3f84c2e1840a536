"""Fine-tuning by Ray Train: the loop of `gnnrl.training.finetune`, on the machines of a cluster.

Ray places the processes and joins them to a group; the rest is as under torchrun. Weights come back as safetensors.
"""

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load, save
from torch import nn

from gnnrl.errors import ConfigError, DataError, ResourceError, first_line
from gnnrl.executors.ray_cluster import connect, demand_token
from gnnrl.imports import install_command, require
from gnnrl.training.finetuning import FinetuneResult, finetune
from gnnrl.zoo.batches import LabelledData

_Answer = tuple[bytes, FinetuneResult] | ConfigError | DataError
"""Weights and result of a training, or an error that it would end with again."""


def finetune_on_ray(
    model: nn.Module,
    train_data: LabelledData,
    *,
    workers: int = 2,
    address: str | None = None,
    threads: int = 1,
    use_gpu: bool = False,
    storage: str | Path | None = None,
    retries: int = 0,
    runtime_env: Mapping[str, Any] | None = None,
    **settings: Any,
) -> FinetuneResult:
    """Train a network in place, by several processes of a Ray cluster; see `gnnrl.training.finetune`.

    Args:
        train_data: is sent to all processes.
        workers: processes; each computes its share of every batch.
        address: of a running cluster, such as "auto"; by default one is started on this machine, and ended.
        threads: processors, and threads, of each process.
        use_gpu: give each process a graphics processor.
        storage: a folder that all machines see, for Ray's records and for the snapshots: called again with the same
            arguments, training resumes from there. By default a temporary one, which is enough on one machine.
        retries: how often all processes are started again after one was lost; they resume from the last snapshot.
        runtime_env: what the machines of a cluster need to import your modules; see Ray's "runtime environments".
        settings: of `gnnrl.training.finetune`, all but `device` and `snapshots`.

    Raises:
        ConfigError: Ray Train is not installed, or a setting is wrong.
        DataError: see `gnnrl.training.finetune`.
        ResourceError: there is no cluster, or a process was lost more often than `retries`.
    """
    wrong = {"device", "snapshots"} & settings.keys()
    if workers < 1 or threads < 1 or wrong:
        given = f"; leave out {' and '.join(sorted(wrong))}" if wrong else ""
        raise ConfigError(f"workers and threads must be at least 1, got {workers} and {threads}{given}")
    if address is None:
        demand_token()
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    ray, train, torch_train = require("ray", "ray"), _train_library(), require("ray.train.torch", "ray")
    with ExitStack() as stack:
        folder = Path(storage or stack.enter_context(tempfile.TemporaryDirectory())).absolute()
        if connect(ray, address, workers * threads, runtime_env):
            stack.callback(ray.shutdown)
        device = "cuda" if use_gpu else "cpu"
        asked = settings | {"device": device, "snapshots": str(folder / "snapshots")}
        resources = {"CPU": threads} | ({"GPU": 1} if use_gpu else {})
        trainer = torch_train.TorchTrainer(
            _work(ray.put(ray.cloudpickle.dumps((model, train_data, asked))), threads),
            scaling_config=train.ScalingConfig(num_workers=workers, use_gpu=use_gpu, resources_per_worker=resources),
            run_config=train.RunConfig(
                name="gnnrl", storage_path=str(folder), failure_config=train.FailureConfig(max_failures=retries)
            ),
        )
        try:
            answer: _Answer = trainer.fit().return_value
        except Exception as error:
            raise ResourceError(f"Ray Train failed: {type(error).__name__}: {first_line(error)}") from error
    if isinstance(answer, Exception):
        raise answer
    weights, result = answer
    model.load_state_dict(load(weights))
    return result


def _train_library() -> Any:
    try:
        return require("ray.train", "ray")
    except ImportError as error:
        raise ConfigError(f"{first_line(error)}; run: {install_command('ray')}") from error


def _work(payload: Any, threads: int) -> Callable[[], _Answer | None]:
    """Return the function that each process calls; that of rank 0 returns the result."""

    def work() -> _Answer | None:
        import ray

        torch.set_num_threads(threads)
        model, data, settings = ray.cloudpickle.loads(ray.get(payload))
        try:
            result = finetune(model, data, **settings)
        except (ConfigError, DataError) as error:  # again it would be the same
            return error
        if dist.is_initialized() and dist.get_rank():
            return None
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
        return save(tensors), result

    return work
