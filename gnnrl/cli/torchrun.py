"""A command that torchrun began in several processes: process 0 speaks, judges and writes, the others help it."""

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from gnnrl.errors import ConfigError

LONGEST = timedelta(hours=2)
"""How long processes wait for one another, as for process 0 to judge the network."""


def size() -> int:
    """How many processes torchrun has begun; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def helps() -> bool:
    """Whether this process is one that computes for process 0."""
    return size() > 1 and os.environ.get("RANK") != "0"


def is_restarted() -> bool:
    """Whether torchrun has begun the command again, after a process was lost."""
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


def refuse(what: str) -> None:
    """Refuse to do in several processes what one does.

    Raises:
        ConfigError: torchrun has begun several.
    """
    if size() > 1:
        raise ConfigError(
            f"{what} is done by one process, not by {size()} of torchrun; call gnnrl without torchrun. A search judges "
            "plans in several processes with --workers"
        )


def take_place(device: str) -> None:
    """Choose this process's graphics processor, where there is one for each.

    Raises:
        ConfigError: all processes would compute on the same one.
    """
    if size() == 1 or not device.startswith("cuda"):
        return
    if device != "cuda":
        raise ConfigError(f"torchrun gives each process its device: ask for --device cuda, not {device}")
    import torch

    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))


@contextmanager
def joined() -> Iterator[None]:
    """Be one of the group of processes inside, where torchrun has begun several."""
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
    """End the process after what is inside, which ends with `SystemExit`, where torchrun has begun several.

    The threads by which processes talk (gloo's) live on after `destroy_process_group`, and abort the process, whose
    work is done, if one of them lets a tensor go while Python is taken down. So Python is not: what was registered
    for the end is done, and the process ends.
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
