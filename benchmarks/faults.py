"""Faults of the disk, of the reward and of the user, and how a run survives each; for `trust.py`."""

import errno
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trusted_run import EPISODES, PRUNE, RESUME, Row, outcome, run, written
from victims import Fault, Victim, failing_disk, failing_reward, full_at_result, small_disk

Harm = Callable[[Path], tuple[int, str]]
Moment = Callable[[Path], bool]
"""Whether a run in this folder is so far, by what is on the disk."""


def harms() -> dict[str, Harm]:
    """Faults by name: each harms a run in a folder, and returns the exit code and what was said."""
    half, epochs, two_epochs = _judged(EPISODES // 2), _trained(1), _trained(2)
    journal, snapshot = "journal.jsonl", "snapshots"
    return {
        "Ctrl-C": _signalled([signal.SIGINT], half),
        "Ctrl-C twice": _signalled([signal.SIGINT] * 2, half),
        "Ctrl-C in fine-tuning": _signalled([signal.SIGINT], epochs),
        "SIGTERM": _signalled([signal.SIGTERM], half),
        "SIGHUP: the terminal was closed": _signalled([signal.SIGHUP], half),
        "SIGTERM while a reward hangs": _signalled([signal.SIGTERM], half, failing_reward(7, _hang)),
        "last line of the journal torn": _damaged(half, lambda run: _cut(run / journal, 9)),
        "a line of the journal changed": _damaged(half, lambda run: _change(run / journal)),
        "snapshot truncated": _damaged(two_epochs, lambda run: _cut(_newest(run / snapshot), 40)),
        "snapshot with one bit flipped": _damaged(two_epochs, lambda run: _flip(_newest(run / snapshot))),
        "snapshot deleted": _damaged(two_epochs, lambda run: _newest(run / snapshot).unlink()),
        "disk full in the search": _failed(failing_disk(errno.ENOSPC, 12)),
        "disk full at a snapshot": _failed(small_disk(100_000)),
        "disk full at the result": _failed(full_at_result),
        "disk read-only": _failed(failing_disk(errno.EROFS, 12)),
        "disk broken (EIO)": _failed(failing_disk(errno.EIO, 12)),
        "reward raises": _failed(failing_reward(5, _fail)),
        "reward is NaN": _failed(failing_reward(5, lambda: float("nan"))),
        "reward out of memory": _failed(failing_reward(5, _starve)),
        "a second process": _second,
    }


def _judged(plans: int) -> Moment:
    return lambda place: written(place) >= plans


def _trained(epochs: int) -> Moment:
    return lambda place: any(int(path.stem) >= epochs for path in place.glob("small.run/snapshots/*.json"))


def _failed(fault: Fault) -> Harm:
    def harm(place: Path) -> tuple[int, str]:
        code, victim = run(PRUNE, place, fault)
        return code, victim.errors

    return harm


def _signalled(numbers: Sequence[int], moment: Moment, fault: Fault | None = None) -> Harm:
    def harm(place: Path) -> tuple[int, str]:
        victim = Victim(PRUNE, place, fault)
        victim.wait_for(moment)
        begin = time.monotonic()
        for number in numbers:
            victim.send(number)
            time.sleep(0.05)
        code = victim.wait()
        return code, f"{victim.errors}\nended after {time.monotonic() - begin:.1f} s"

    return harm


def _damaged(moment: Moment, damage: Callable[[Path], Any], *more: str) -> Harm:
    def harm(place: Path) -> tuple[int, str]:
        victim = Victim(PRUNE, place)
        victim.wait_for(moment)
        victim.send(signal.SIGKILL)
        victim.wait()
        damage(place / "small.run")
        code, victim = run((*RESUME, *more), place)
        return code, victim.errors

    return harm


def _hang() -> float:
    time.sleep(3600)
    return 0.0


def _fail() -> float:
    raise RuntimeError("the reward failed")


def _starve() -> float:
    raise MemoryError("no memory is left")


def _second(place: Path) -> tuple[int, str]:
    first = Victim(PRUNE, place)
    first.wait_for(_judged(1))
    (place / "other").mkdir()
    code, victim = run((*RESUME[:1], "../small"), place / "other")
    first.send(signal.SIGKILL)
    first.wait()
    return code, victim.errors


def _newest(folder: Path) -> Path:
    return max(folder.glob("*.safetensors"))


def _cut(path: Path, count: int) -> None:
    path.write_bytes(path.read_bytes()[:-count])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _change(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"number":1,', b'"number":9,'))


EXPECTED_CODES = {
    "Ctrl-C": 130,
    "Ctrl-C twice": 130,
    "Ctrl-C in fine-tuning": 130,
    "SIGTERM": 143,
    "SIGHUP: the terminal was closed": 129,
    "SIGTERM while a reward hangs": 143,
    "a line of the journal changed": 6,
    "disk full in the search": 8,
    "disk full at a snapshot": 8,
    "disk full at the result": 8,
    "disk read-only": 8,
    "disk broken (EIO)": 8,
    "reward raises": 5,
    "reward is NaN": 5,
    "reward out of memory": 8,
    "a second process": 9,
}


def suffer(name: str, harm: Harm, expected: Any, folder: Path) -> Row:
    """One fault: its exit code, what was said last, and whether the run ends as the unbroken one."""
    place = folder / name.replace(" ", "-").replace(":", "")
    place.mkdir()
    code, said = harm(place)
    lines = [line for line in said.splitlines() if line.strip()]
    told = next((line for line in lines if line.startswith(("error: ", "warning: ")) and "ending" not in line), "")
    if code != 0:
        final, victim = run((*RESUME, *(["--repair"] if code == 6 else [])), place)
        if final != 0:
            raise SystemExit(f"{name}: resume ends with {final}\n{victim.errors}")
    row = {
        "code": code,
        "is_code": code == EXPECTED_CODES.get(name, 0),
        "same": outcome(place) == expected,
        "said": told.replace(str(place), "..."),
        "traceback": "Traceback" in said,
    }
    shutil.rmtree(place)
    return row
