"""Whether anything is lost: kills at random moments and at half-written files, faults of disk and reward, overhead.

    python benchmarks/trust.py [--kills 50] [--parts killed,exports,faults,overhead] [--quick] [--report]

Every run compresses the digits network; after each interruption `gnnrl resume` goes on, and the final result must be
that of the unbroken run: weights and plan by SHA-256, every judged plan with its score to the last bit, and no plan
that was written down judged again.
"""

import argparse
import json
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import machine
import torch
from faults import harms, suffer
from trusted_run import EXPORT, PRUNE, RESUME, STAGES, Row, outcome, run, written
from victims import Victim, killed_at

from gnnrl.compression.pipeline import compress
from gnnrl.runs.directory import RunDirectory
from gnnrl.storage.journal import Journal
from gnnrl.storage.snapshots import Snapshots
from gnnrl.training import evaluator, finetune
from gnnrl.zoo.models import example_inputs, input_spec, resolve_model

MOST_OPERATIONS = 90
PARTS = ("killed", "exports", "faults", "overhead")


def judged_again(folder: Path, before: int) -> int:
    """How many plans the last process judged that were written down already."""
    path = folder / "judged"
    numbers = [int(line.split()[1]) for line in path.read_text().splitlines()] if path.exists() else []
    path.unlink(missing_ok=True)
    return sum(number < before for number in numbers)


def stage(victim: Victim) -> str:
    """What a process was doing last."""
    lines = [line.partition(" ")[0].rstrip(":") for line in victim.errors.splitlines() if not line.startswith(" ")]
    return next((line for line in reversed(lines) if line in STAGES), "starting")


def kill_runs(kills: int, expected: Any, seconds: float, folder: Path, rng: random.Random) -> Row:
    """Kill runs, each up to four times, until so many kills are done; compare every final result."""
    where: Counter[str] = Counter()
    runs = different = again = 0
    while where.total() < kills:
        place = folder / f"killed-{runs}"
        place.mkdir()
        command, struck, before = PRUNE, 0, 0
        while True:
            if struck < 4 and where.total() < kills:
                at_write = rng.random() < 0.5
                victim = Victim(command, place, killed_at(rng.randrange(1, MOST_OPERATIONS)) if at_write else None)
                if not at_write:
                    time.sleep(rng.uniform(0.0, seconds))
                    victim.send(signal.SIGKILL)
            else:
                victim = Victim(command, place)
            code = victim.wait()
            again += judged_again(place, before)
            before = written(place)
            if code == 0:
                break
            if code != -signal.SIGKILL:
                raise SystemExit(f"{place}: exit code {code}\n{victim.errors}")
            struck += 1
            where[f"{stage(victim)}{', half of a write' if at_write else ''}"] += 1
            has_begun = any((place / name / "settings.json").exists() for name in ("small.run", "small/run"))
            command = RESUME if has_begun else PRUNE
        different += outcome(place) != expected
        runs += 1
        print(f"{where.total()} kills, {runs} runs, {different} different, {again} judged again", flush=True)
        shutil.rmtree(place)
    return {
        "kills": where.total(),
        "runs": runs,
        "different": different,
        "judged_again": again,
        "where": dict(where.most_common()),
    }


def kill_exports(kills: int, finished: Path, folder: Path, rng: random.Random) -> Row:
    """Kill exports at a random write: what is there is whole, and the next export writes the same."""
    place = folder / "exports"
    shutil.copytree(finished, place)
    run(EXPORT, place)
    files = ("narrow.py", "narrow.pt")
    expected = (place / files[0]).read_bytes()
    halves = 0
    for _ in range(kills):
        for name in files:
            (place / name).unlink(missing_ok=True)
        run(EXPORT, place, killed_at(rng.randrange(1, 7)))
        halves += (place / files[0]).exists() and (
            (place / files[0]).read_bytes() != expected or not (place / files[1]).exists()
        )
        code, _ = run(EXPORT, place)
        halves += code != 0 or (place / files[0]).read_bytes() != expected
    return {"kills": kills, "halves": halves}


def overhead(model: str, images: int, episodes: int, folder: Path) -> Row:
    """Seconds that journal and snapshots take of a search and of epochs, and what it costs to go through it again.

    Images are random: only time is measured.
    """
    torch.manual_seed(0)
    network, spec = resolve_model(model, pretrained=False), input_spec(model)
    data = torch.utils.data.TensorDataset(torch.randn(images, *spec.shape[1:]), torch.randint(0, 10, (images,)))
    journal, snapshots = list[float](), list[float]()

    def search() -> Any:
        return compress(
            network,
            example_inputs(spec),
            "macs<=50%",
            evaluate=evaluator(data, "loss"),
            calibration=[data[:250]],
            episodes=episodes,
            run=folder / model,
        )

    with timed(Journal, "append", journal), timed(RunDirectory, "identify", journal):
        first = search()
    again = search()
    with timed(Snapshots, "save", snapshots):
        start = time.perf_counter()
        finetune(first.model, data, epochs=2, snapshots=folder / f"{model}-snapshots")
        tuning = time.perf_counter() - start
    seconds = first.seconds["search"]
    return {
        "model": model,
        "images": images,
        "evaluations": len(first.history),
        "search_seconds": round(seconds, 2),
        "journal_percent": round(100 * sum(journal) / seconds, 3),
        "append_ms": round(1e3 * sorted(journal)[len(journal) // 2], 2),
        "replay_seconds": round(again.seconds["search"], 2),
        "replay_percent": round(100 * again.seconds["search"] / seconds, 1),
        "epoch_seconds": round(tuning / 2, 2),
        "snapshot_ms": round(1e3 * max(snapshots), 1),
        "snapshot_percent": round(100 * sum(snapshots) / tuning, 3),
    }


@contextmanager
def timed(kind: type, name: str, seconds: list[float]) -> Iterator[None]:
    """Note how long each call of a method takes."""
    method = getattr(kind, name)

    def measured(*given: Any, **more: Any) -> Any:
        start = time.perf_counter()
        result = method(*given, **more)
        seconds.append(time.perf_counter() - start)
        return result

    setattr(kind, name, measured)
    try:
        yield
    finally:
        setattr(kind, name, method)


def show(document: Row) -> str:
    """Tables in Markdown."""
    killed, exports = document["killed"], document["exports"]
    lines = [
        f"{killed['kills']} kills of {killed['runs']} runs and {exports['kills']} of exports: {killed['different']} "
        f"results differ from the unbroken run's, {killed['judged_again']} written plans judged again, "
        f"{exports['halves']} exports were half there.",
        "",
        "| killed while | times |",
        "| --- | ---: |",
        *(f"| {place} | {count} |" for place, count in killed["where"].items()),
        "",
        "| fault | exit code | result after `gnnrl resume` | what gnnrl says |",
        "| --- | ---: | --- | --- |",
        *(
            f"| {name} | {row['code']}{'' if row['is_code'] else ' (!)'} | {'same' if row['same'] else 'DIFFERENT'} | "
            f"{row['said']}{' TRACEBACK' if row['traceback'] else ''} |"
            for name, row in document["faults"].items()
        ),
    ]
    for row in document["overhead"]:
        lines += [
            "",
            f"{row['model']}, {row['images']:,} random images, {row['evaluations']} evaluations in "
            f"{row['search_seconds']} s: the journal takes {row['journal_percent']} % ({row['append_ms']} ms a plan); "
            f"to go through all of it again {row['replay_seconds']} s ({row['replay_percent']} %). An epoch takes "
            f"{row['epoch_seconds']} s, its snapshot {row['snapshot_ms']} ms ({row['snapshot_percent']} %).",
        ]
    return "\n".join(lines)


def measure(part: str, given: argparse.Namespace, expected: Any, seconds: float, folder: Path) -> Any:
    """One part of the document."""
    rng = random.Random(given.seed)
    if part == "killed":
        return kill_runs(given.kills, expected, seconds, folder, rng)
    if part == "exports":
        return kill_exports(max(given.kills // 5, 1), folder / "unbroken", folder, rng)
    if part == "faults":
        chosen = list(harms().items())[:: 11 if given.quick else 1]
        return {name: suffer(name, harm, expected, folder) for name, harm in chosen}
    subjects = () if given.quick else (("digits-resnet", 500, 50), ("cifar-resnet20", 2500, 20))
    return [overhead(*subject, folder) for subject in subjects]


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", default=",".join(PARTS), help="what to measure; the others are kept as they are")
    parser.add_argument("--quick", action="store_true", help="few faults, no timing, nothing written")
    parser.add_argument("--report", action="store_true", help="print the tables, measure nothing")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    path = Path(__file__).parent / "results" / "trust.json"
    if given.report:
        print(show(json.loads(path.read_text())))
        return
    found: Row = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "unbroken").mkdir()
        code, victim = run(PRUNE, folder / "unbroken")
        if code != 0:
            raise SystemExit(victim.errors)
        expected = outcome(folder / "unbroken")
        print(f"an unbroken run takes {victim.seconds:.1f} s", flush=True)
        for part in given.parts.split(","):
            found[part] = measure(part, given, expected, victim.seconds, folder)
            if not given.quick:
                before = json.loads(path.read_text()) if path.exists() else {}
                machine.write("trust", {**before, "machine": machine.describe(), **found})
    if set(found) == set(PARTS):
        print(show(found))
    killed, faults = found.get("killed", {}), found.get("faults", {})
    lost = killed.get("different", 0) + killed.get("judged_again", 0) + found.get("exports", {}).get("halves", 0)
    if lost or not all(row["is_code"] and row["same"] and not row["traceback"] for row in faults.values()):
        raise SystemExit("something was lost")


if __name__ == "__main__":
    main()
