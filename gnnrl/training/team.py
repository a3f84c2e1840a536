"""The processes that train one network together: what they tell each other, and how they end together.

They are those of `torch.distributed`'s default group, where one was begun by torchrun or Ray Train; else this process
is alone, and nothing is told to anybody. Each computes its share of every batch (`gnnrl.training.sharing`); gradients
are averaged by `DistributedDataParallel` (Li et al. 2020, https://arxiv.org/abs/2006.15704), so that weights are the
same everywhere. Process 0 judges and writes. What one process meets is raised in all of them, at the same step.

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
        size: how many there are.
        rank: which of them this is, from 0.
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
        """Whether this process judges and writes."""
        return self.rank == 0

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Do work that may fail here alone: `total` then raises it in all processes; without others it is raised."""
        try:
            yield
        except BaseException as error:
            if self.size == 1:
                raise
            self._failure = self._failure or error

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Say in the user's words that another process is gone.

        Raises:
            ResourceError: it is.
        """
        try:
            yield
        except RuntimeError as error:
            if self.size > 1 and (isinstance(error, dist.DistError) or "gloo" in str(error)):
                raise ResourceError(
                    f"another of the {self.size} processes is gone, and says itself why ({first_line(error)}). Begin "
                    "them again: they go on from the last snapshot"
                ) from error
            raise

    def total(self, *values: float) -> tuple[float, ...]:
        """Sum values over the processes; raise in all what one of them met.

        Raises:
            GnnrlError: another process met it.
            KeyboardInterrupt: another process was asked to end.
        """
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
        """What is to be called for the network, so that its gradients are averaged; all begin as process 0 does.

        Parameters that a step does not use are looked for, since networks have some; this also keeps the order of
        summation the same after a resumption. Where all are used torch says so once.
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
        """The snapshot that process 0 found."""
        if self.size == 1:
            return found
        if not self.total(float(found is not None))[0]:
            return None
        told = b"" if found is None else json.dumps([found.number, found.facts]).encode()
        number, facts = json.loads(self._broadcast(told, 0))
        tensors = load(self._broadcast(b"" if found is None else save(found.tensors), 0))
        return Snapshot(number, tensors, facts)

    def begin_epoch(self) -> None:
        """Begin an epoch: the data are drawn from the random numbers of process 0, all else from numbers of its own."""
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
        """Draw inside from the numbers of this process alone, as for dropout and augmentation."""
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
        """Raise what a process met: here as it is if it was this one, else what it says."""
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
        """The bytes of one process, in all of them."""
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
