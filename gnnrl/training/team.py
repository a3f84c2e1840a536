"""The processes that train one network together: their messages, and their common end.

They are the default group of `torch.distributed`, if torchrun or Ray Train started one; otherwise the team is this
process alone, and nothing is sent. Each process computes its share of every batch (`gnnrl.training.sharing`).
`DistributedDataParallel` averages gradients (Li et al. 2020, https://arxiv.org/abs/2006.15704), so that weights are the
same everywhere. Process 0 scores and writes. An error of one process is raised in all of them, at the same step.

Nothing is pickled: numbers, texts and tensors are sent as such.
"""

import hashlib
import inspect
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gnnrl import errors
from gnnrl.errors import GnnrlError, ResourceError, first_line
from gnnrl.storage.snapshots import Snapshot

_NAMED = "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
_OWN_BUFFERS: dict[str, Any] = {"forward_sync_buffers" if _NAMED else "broadcast_buffers": False}  # newer torch, older


class Team:
    """The processes of the default group, or this one alone.

    Attributes:
        size: number of processes.
        rank: number of this process, from 0.
    """

    def __init__(self) -> None:
        together = dist.is_available() and dist.is_initialized()
        self.size = dist.get_world_size() if together else 1
        self.rank = dist.get_rank() if together else 0
        self._device = "cuda" if together and dist.get_backend() == "nccl" else "cpu"
        self._failure: BaseException | None = None
        self._random = torch.empty(0)

    @property
    def is_first(self) -> bool:
        """True in process 0, which scores and writes."""
        return self.rank == 0

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Keep an error of this process until `total` raises it in all processes; a process alone raises it at once."""
        try:
            yield
        except BaseException as error:
            if self.size == 1:
                raise
            self._failure = self._failure or error

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Raise ResourceError, in the user's words, if another process has ended."""
        try:
            yield
        except RuntimeError as error:
            if self.size > 1 and (isinstance(error, dist.DistError) or "gloo" in str(error)):
                raise ResourceError(
                    f"another of the {self.size} processes has ended; its own output says why ({first_line(error)}). "
                    "Start all of them again: they resume from the last snapshot"
                ) from error
            raise

    def total(self, *values: float) -> tuple[float, ...]:
        """Sum values over the processes; raise the error, or the interruption, of one process in all."""
        if self.size == 1:
            return values
        numbers = torch.tensor([*values, float(self._failure is not None)], dtype=torch.float64, device=self._device)
        with self.connected():
            dist.all_reduce(numbers)
        *sums, failures = numbers.tolist()
        if failures:
            self._fail()
        return tuple(sums)

    def module(self, model: nn.Module) -> nn.Module:
        """Return the module to call for the network, so that gradients are averaged; all start as process 0 does.

        DistributedDataParallel looks for unused parameters, because networks may have some. This also keeps the order
        of summation the same after resuming. If all parameters are used, torch warns once.
        """
        if self.size == 1:
            return model
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)
        return DistributedDataParallel(model, find_unused_parameters=True, **_OWN_BUFFERS)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace floating-point tensors by their means over the processes."""
        if self.size == 1:
            return
        for tensor in tensors:
            if tensor.is_floating_point():
                mean = tensor.detach().clone(memory_format=torch.contiguous_format)
                with self.connected():
                    dist.all_reduce(mean)
                tensor.copy_(mean / self.size)

    def shared(self, found: Snapshot | None) -> Snapshot | None:
        """Return the snapshot that process 0 found."""
        if self.size == 1:
            return found
        if not self.total(float(found is not None))[0]:
            return None
        told = b"" if found is None else json.dumps([found.number, found.facts]).encode()
        number, facts = json.loads(self._broadcast(told, 0))
        tensors = load(self._broadcast(b"" if found is None else save(found.tensors), 0))
        return Snapshot(number, tensors, facts)

    def begin_epoch(self) -> None:
        """Seed an epoch: data order comes from process 0's random numbers, everything else from each process's own."""
        if self.size == 1:
            return
        common = self._broadcast(torch.get_rng_state().numpy().tobytes(), 0)
        torch.set_rng_state(torch.frombuffer(bytearray(common), dtype=torch.uint8))
        own = int.from_bytes(hashlib.sha256(common + str(self.rank).encode()).digest()[:7])
        self._random = torch.Generator().manual_seed(own).get_state()
        if torch.cuda.is_available():
            torch.cuda.manual_seed(own)

    @contextmanager
    def own_randomness(self) -> Iterator[None]:
        """Draw from this process's own random numbers inside, as for dropout and augmentation."""
        if self.size == 1:
            yield
            return
        common = torch.get_rng_state()
        torch.set_rng_state(self._random)
        try:
            yield
        finally:
            self._random = torch.get_rng_state()
            torch.set_rng_state(common)

    def _fail(self) -> NoReturn:
        """Raise the error of a process: the error itself in that process, its text in the others."""
        failure, self._failure = self._failure, None
        mine = torch.tensor(-1 if failure is None else self.rank, device=self._device)
        dist.all_reduce(mine, dist.ReduceOp.MAX)
        source = int(mine)
        is_own = source == self.rank
        kind, text = json.loads(self._broadcast(_told(failure) if is_own else b"", source))
        if failure is not None:
            raise failure
        if kind == "KeyboardInterrupt":
            raise KeyboardInterrupt(text)
        known = getattr(errors, kind, None)
        if isinstance(known, type) and issubclass(known, GnnrlError):
            raise known(f"process {source} of {self.size}: {text}")
        raise ResourceError(f"process {source} of {self.size} failed with {kind}: {text}")

    def _broadcast(self, data: bytes, source: int) -> bytes:
        """Send the bytes of one process to all; return them."""
        length = torch.tensor(len(data), device=self._device)
        with self.connected():
            dist.broadcast(length, source)
        content = torch.zeros(int(length), dtype=torch.uint8, device=self._device)
        if self.rank == source:
            content = torch.frombuffer(bytearray(data), dtype=torch.uint8).to(self._device)
        with self.connected():
            dist.broadcast(content, source)
        return content.cpu().numpy().tobytes()


def _told(failure: BaseException | None) -> bytes:
    kind = "KeyboardInterrupt" if isinstance(failure, KeyboardInterrupt) else type(failure).__name__
    return json.dumps([kind, str(failure)]).encode()
