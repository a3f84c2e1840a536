"""A command that torchrun starts in several processes: process 0 reports, scores and writes, the others help it."""

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from gnnrl.errors import ConfigError

LONGEST = timedelta(hours=2)
"""Longest time that processes wait for one another, such as for process 0 to score the network."""


def size() -> int:
    """Return the number of processes that torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def helps() -> bool:
    """Return whether this process only computes for process 0."""
    return size() > 1 and os.environ.get("RANK") != "0"


def is_restarted() -> bool:
    """Return whether torchrun restarted the command, after a process was lost."""
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


def refuse(what: str) -> None:
    """Refuse several processes for something that one process does."""
    if size() > 1:
        raise ConfigError(
            f"{what} runs in one process, not in {size()} of torchrun; call gnnrl without torchrun. A search scores "
            "plans in several processes with --workers"
        )


def take_place(device: str) -> None:
    """Choose the GPU of this process; refuse one that all processes would share."""
    if size() == 1 or not device.startswith("cuda"):
        return
    if device != "cuda":
        raise ConfigError(f"torchrun gives each process its own device: use --device cuda, not {device}")
    import torch

    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))


@contextmanager
def joined() -> Iterator[None]:
    """Join the group of processes inside, if torchrun started several."""
    if size() == 1:
        yield
        return
    from torch import distributed

    distributed.init_process_group(timeout=LONGEST)
    try:
        yield
    finally:
        distributed.destroy_process_group()


@contextmanager
def parting() -> Iterator[None]:
    """End the process after the block, which ends with `SystemExit`, if torchrun started several.

    The threads of gloo, by which processes communicate, outlive `destroy_process_group`. They abort the process if one
    of them releases a tensor while Python shuts down. So Python does not shut down: exit handlers run, and the process
    ends.
    """
    if size() == 1:
        yield
        return
    status = 0
    try:
        yield
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:
        status = 1
        sys.excepthook(type(error), error, error.__traceback__)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
