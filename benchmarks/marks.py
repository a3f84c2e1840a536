"""Searches that are judged at several numbers of evaluations, and the tables of them.

One run at the largest number of evaluations serves all smaller marks: its first 50 evaluations are those of a run of
50. That does not hold for searchers whose schedule depends on the budget (`SCHEDULED`); they are run once for each
mark. Closed forms have one evaluation and no chance.
"""

import re
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from ledger import Ledger, Row
from subject import Subject

from gnnrl.compression.comparison import Comparison, Run
from gnnrl.compression.figures import draw_comparison
from gnnrl.scoring.plans import Trial
from gnnrl.searchers.table import CLOSED_FORM, find_searcher
from gnnrl.searchers.task import Searcher
from gnnrl.searchers.task import search as run_search

MARKS = (50, 150, 300)
SCHEDULED = frozenset({"amc", "annealing", "ddpg", "evolution", "greedy"})
"""Searchers that plan ahead for their budget: a temperature, steps to the limit, a population, a warm-up."""
_ARM = re.compile(r"(?P<searcher>[^@+]+)(@(?P<importance>[^@+]+))?(\+(?P<repair>[^@+]+))?")
_KEY = re.compile(r"(?P<arm>.+), (?P<budget>\d+) evaluations, seed (?P<seed>\d+)")


@dataclass(frozen=True)
class Arm:
    """One row: who searches, which units go, how the network is repaired.

    Attributes:
        scheduled: the first evaluations of a long run are not those of a short one.
        closed: there is only one plan.
    """

    name: str
    searcher: Searcher
    importance: str = "curves"
    repair: str = "ls"
    scheduled: bool = False
    closed: bool = False

    @classmethod
    def parse(cls, text: str) -> "Arm":
        """Read `searcher`, `searcher@importance`, `searcher+repair` or `searcher@importance+repair`.

        Raises:
            SystemExit: it is none of these.
        """
        found = _ARM.fullmatch(text.strip())
        if found is None:
            raise SystemExit(f"{text!r} is no searcher@importance+repair, such as ranked@taylor or uniform@l2+none")
        name = found["searcher"]
        closed = name in CLOSED_FORM
        settings = {part: value for part in ("importance", "repair") if (value := found[part]) is not None}
        return cls(text.strip(), find_searcher(name), scheduled=name in SCHEDULED, closed=closed, **settings)

    def marks(self, evaluations: int) -> tuple[int, ...]:
        """Numbers of evaluations at which a run of so many is judged."""
        return (1,) if self.closed else tuple(sorted({mark for mark in MARKS if mark < evaluations} | {evaluations}))

    def budgets(self, evaluations: int) -> tuple[int, ...]:
        """Runs that these marks take."""
        marks = self.marks(evaluations)
        return marks if self.scheduled else marks[-1:]

    def keys(self, evaluations: int, seed: int) -> dict[str, int]:
        """The runs of a seed by their key, each with its budget."""
        if self.closed and seed:
            return {}
        return {_key(self.name, budget, seed): budget for budget in self.budgets(evaluations)}


def _key(arm: str, budget: int, seed: int) -> str:
    return f"{arm}, {budget} evaluations, seed {seed}"


def found_mark(rows: Mapping[str, Row], arm: str, mark: int, seed: int) -> Row | None:
    """What an arm had found after so many evaluations; of several runs the shortest tells."""
    runs = [row for row in rows.values() if (row["arm"], row["seed"]) == (arm, seed) and str(mark) in row["marks"]]
    return min(runs, key=lambda row: int(row["budget"]))["marks"][str(mark)] if runs else None


def wanted(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without planned runs that a longer one has made needless."""
    rows, planned = document["rows"], list[str]()
    for key in document["planned"]:
        found = _KEY.fullmatch(key)
        assert found is not None
        if key in rows or found_mark(rows, found["arm"], int(found["budget"]), int(found["seed"])) is None:
            planned.append(key)
    return {**document, "planned": planned}


def search(ledger: Ledger, subject: Subject, arms: Sequence[Arm], evaluations: int, seeds: Sequence[int]) -> None:
    """Run what is not there yet, the first seed of all arms first; a failing searcher leaves its reason."""
    planned: dict[str, tuple[Arm, int, int]] = {}
    for seed in seeds:
        for arm in arms:
            for key, budget in arm.keys(evaluations, seed).items():
                if key in ledger.rows or found_mark(ledger.rows, arm.name, budget, seed) is None:
                    planned[key] = arm, budget, seed
    ledger.plan(planned)
    for key in ledger.claim(planned):
        arm, budget, seed = planned[key]
        try:
            row = measure(subject, arm, budget, seed)
        except Exception as error:  # the runs after it shall not wait for somebody to come
            traceback.print_exc()
            ledger.fail(key, f"{type(error).__name__}: {error}")
            continue
        ledger.keep(key, row)
        last = row["marks"][str(budget)]
        print(f"  {key}: reward {last['reward']:.4f}, test {last['test']:.2%}, {last['seconds']:.0f} s", flush=True)


def measure(subject: Subject, arm: Arm, budget: int, seed: int) -> Row:
    """Search once, then read the test images for the best plan at each mark."""
    prepared = subject.prepared(arm.importance, arm.repair)
    seconds, forward, algebra, start = list[float](), list[float](), list[float](), perf_counter()

    def note(trial: Trial) -> None:
        seconds.append(perf_counter() - start)
        forward.append(task.seconds.forward)
        algebra.append(task.seconds.algebra)

    task = prepared.task(budget, seed)
    task.on_trial = note
    run_search(arm.searcher, task)
    trials = list(task.trials)
    row: Row = {
        "arm": arm.name,
        "budget": budget,
        "seed": seed,
        "prepare_seconds": round(prepared.seconds, 3),
        "scores": [round(trial.score, 6) for trial in trials],
        "seconds": [round(value, 3) for value in seconds],
        "marks": {},
    }
    read: dict[tuple[int, ...], Row] = {}
    for mark in (budget,) if arm.scheduled else arm.marks(budget):
        judged = trials[:mark]
        best = max(judged, key=lambda trial: trial.score)
        if best.widths not in read:
            network = task.scorer.build(task.scorer.plan(best.widths))
            read[best.widths] = {"reward_top1": subject.reward_top1(network), "test": subject.read_test(network)}
        total = prepared.seconds + seconds[len(judged) - 1]
        row["marks"][str(mark)] = {
            "evaluations": len(judged),
            "reward": best.score,
            **read[best.widths],
            "macs": best.macs,
            "seconds": total,
            "outside": 1 - (prepared.forward + forward[len(judged) - 1]) / total,
            "repair": algebra[len(judged) - 1] / total,
            "widths": list(best.widths),
        }
    return row


def tables(document: Mapping[str, Any], title: str, base: str = "ppo") -> str:
    """One table for each mark: medians over the seeds, spreads from the lowest to the highest.

    Args:
        base: the arm whose lead over every other one is printed.
    """
    rows = document["rows"]
    marks = sorted({int(mark) for row in rows.values() for mark in row["marks"]} - {1})
    facts, metric = document["facts"], document["settings"]["metric"]
    lines = [f"### {title}", "", f"Dense: test {100 * facts['dense_test']:.2f}."]
    for mark in marks or [1]:
        lines += [
            "",
            f"{mark} evaluations (closed forms: 1)",
            "",
            *_table(rows, mark, base, facts["dense_macs"], metric, _hopeless(document["settings"])),
        ]
    return "\n".join(lines)


def _hopeless(settings: Mapping[str, Any]) -> float:
    """The reward of a plan that loses twice as much against the dense network as the closed form does."""
    return float(2 * settings["closed_form_reward"] - settings["dense_reward"])


def _table(
    rows: Mapping[str, Row], mark: int, base: str, dense_macs: int, metric: str, hopeless: float
) -> Iterator[str]:
    scale, digits = (100, 2) if metric == "top1" else (1, 4)
    header = (
        "searcher",
        "seeds",
        "MACs",
        "reward",
        "spread",
        "test",
        "spread",
        f"{base} leads by",
        "gap",
        "hopeless",
        "s",
        "outside",
        "repair",
    )
    yield f"| {' | '.join(header)} |"
    yield "| --- |" + " ---: |" * (len(header) - 1)
    found = {arm: seeds for arm in _arms(rows.values()) if (seeds := _seeds(rows, arm, mark))}
    bar = median(entry["test"] for entry in found[base]) if base in found else None
    for arm, entries in sorted(found.items(), key=lambda item: -median(entry["test"] for entry in item[1])):
        test = median(entry["test"] for entry in entries)
        cells = [
            arm,
            str(len(entries)),
            f"{median(entry['macs'] for entry in entries) / dense_macs:.3f}",
            f"{scale * median(entry['reward'] for entry in entries):.{digits}f}",
            _spread(entries, "reward", scale, digits),
            f"{100 * test:.2f}",
            _spread(entries, "test"),
            "" if bar is None or arm == base else f"{100 * (bar - test):+.2f}",
            f"{100 * median(entry['reward_top1'] - entry['test'] for entry in entries):.2f}",
            _share_below(rows.values(), arm, mark, hopeless),
            f"{median(entry['seconds'] for entry in entries):.0f}",
            f"{median(entry['outside'] for entry in entries):.1%}",
            f"{median(told):.1%}" if (told := [entry["repair"] for entry in entries if "repair" in entry]) else "",
        ]
        yield f"| {' | '.join(cells)} |"


def _arms(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row["arm"] for row in rows))


def _seeds(rows: Mapping[str, Row], arm: str, mark: int) -> list[Row]:
    """The entries of an arm at a mark, one for each seed; those of a closed form stand at every mark."""
    seeds = sorted({row["seed"] for row in rows.values() if row["arm"] == arm})
    entries = [found_mark(rows, arm, mark, seed) or found_mark(rows, arm, 1, seed) for seed in seeds]
    return [entry for entry in entries if entry is not None]


def _share_below(rows: Iterable[Row], arm: str, mark: int, reward: float) -> str:
    """Of the plans that were judged up to a mark, by all seeds."""
    scores = [score for row in rows if row["arm"] == arm and row["budget"] >= mark for score in row["scores"][:mark]]
    return f"{sum(score < reward for score in scores) / len(scores):.0%}" if scores else ""


def _spread(entries: Sequence[Row], name: str, scale: int = 100, digits: int = 2) -> str:
    values = [entry[name] for entry in entries]
    return f"{scale * (max(values) - min(values)):.{digits}f}" if len(values) > 1 else ""


def draw(document: Mapping[str, Any], path: Path) -> None:
    """Draw best-so-far against evaluations and wall time: of each arm the longest runs."""
    rows = document["rows"].values()
    longest = {arm: max(row["budget"] for row in rows if row["arm"] == arm) for arm in _arms(rows)}
    runs = [
        Run(
            row["arm"], row["seed"], tuple(row["scores"]), tuple(row["prepare_seconds"] + s for s in row["seconds"]), ()
        )
        for row in rows
        if row["budget"] == longest[row["arm"]]
    ]
    planned = tuple((found.searcher, found.seed) for found in runs)
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_comparison(Comparison({}, {}, planned, runs), path)
