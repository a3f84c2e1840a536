"""compare(model, example_inputs, constraint, ...): searchers side by side, at equal budgets of reward evaluations.

Every searcher gets the same network, limit, projection, curves, criterion, repair, reward and images; only how it
searches differs. A run is one searcher with one seed. Runs are written to a file, from which it goes on.
"""

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn

from gnnrl.compression.clock import Clock
from gnnrl.compression.study import Study
from gnnrl.errors import ArtifactError, ConfigError
from gnnrl.executors.table import find_executor, started
from gnnrl.modules.copies import copy_network
from gnnrl.network.structure import Network
from gnnrl.pruning.rules import WidthRules
from gnnrl.scoring.adapters import as_evaluate
from gnnrl.scoring.plans import Evaluate, Executor, Trial, judged
from gnnrl.searchers.table import evaluations_of, find_searcher, name_of
from gnnrl.searchers.task import Searcher, Task, check_search, run
from gnnrl.storage.formats import check_format, stamp

FORMAT = 1
_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Run:
    """One searcher with one seed.

    Attributes:
        scores: reward of each evaluation, in order.
        seconds: wall time from the start of the search to the end of each evaluation.
        widths: the best plan.
        test: score of the best plan by the test function, read after all runs; None as long as it was not.
    """

    searcher: str
    seed: int
    scores: tuple[float, ...]
    seconds: tuple[float, ...]
    widths: tuple[int, ...]
    test: float | None = None

    @property
    def best_so_far(self) -> tuple[float, ...]:
        """Best reward after each evaluation."""
        return tuple(np.maximum.accumulate(self.scores).tolist())


@dataclass(frozen=True, slots=True)
class Row:
    """One searcher over all its seeds; a spread is the distance from the lowest to the highest.

    Attributes:
        evaluations: median.
        reward: median of the best rewards.
        test: median of the best plans' test scores; None without a test function, or before it was read.
        seconds: median.
    """

    searcher: str
    seeds: int
    evaluations: int
    reward: float
    reward_spread: float
    test: float | None
    test_spread: float | None
    seconds: float


@dataclass(slots=True)
class Comparison:
    """Runs of several searchers on one network.

    Attributes:
        settings: what must be equal for runs to be compared.
        dense: reward of the dense network, and, once it was read, its test score.
        planned: (searcher, seed) of all runs that were asked for.
    """

    settings: dict[str, Any]
    dense: dict[str, float]
    planned: tuple[tuple[str, int], ...]
    runs: list[Run] = field(default_factory=list)

    @property
    def missing(self) -> list[tuple[str, int]]:
        """Runs that were asked for and are not there."""
        done = {(found.searcher, found.seed) for found in self.runs}
        return [pair for pair in self.planned if pair not in done]

    def rows(self) -> list[Row]:
        """One row a searcher, in the order in which they were asked for."""
        names = dict.fromkeys(name for name, _ in self.planned)
        chosen = [[found for found in self.runs if found.searcher == name] for name in names]
        return [_row(runs) for runs in chosen if runs]

    def save(self, path: str | Path) -> None:
        """Write the comparison; a reader never sees half of it."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        partial.write_text(json.dumps({**stamp(FORMAT), **asdict(self)}, indent=1) + "\n")
        partial.replace(target)

    @classmethod
    def load(cls, path: str | Path) -> "Comparison":
        """Read what `save` wrote.

        Raises:
            ArtifactError: the file is not a comparison.
        """
        try:
            document = json.loads(Path(path).read_text())
            check_format(path, document, FORMAT)
            names = ("scores", "seconds", "widths")
            runs = [Run(**{**entry, **{name: tuple(entry[name]) for name in names}}) for entry in document["runs"]]
            planned = tuple((str(name), int(seed)) for name, seed in document["planned"])
            return cls(document["settings"], document["dense"], planned, runs)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{path} is not a saved comparison: {type(error).__name__} {error}") from error


def _row(runs: Sequence[Run]) -> Row:
    rewards = [max(found.scores) for found in runs]
    tests = [found.test for found in runs if found.test is not None]
    return Row(
        runs[0].searcher,
        len(runs),
        round(statistics.median(len(found.scores) for found in runs)),
        statistics.median(rewards),
        max(rewards) - min(rewards),
        statistics.median(tests) if tests else None,
        max(tests) - min(tests) if tests else None,
        statistics.median(found.seconds[-1] for found in runs),
    )


def compare(
    model: nn.Module,
    example_inputs: Any,
    constraint: str,
    *,
    evaluate: Evaluate | Iterable[Any],
    calibration: Iterable[Any] | None = None,
    test: Evaluate | Iterable[Any] | None = None,
    searchers: Sequence[str | type | Searcher] = ("ppo", "evolution", "random", "curves"),
    seeds: Sequence[int] = (0, 1, 2),
    episodes: int = 150,
    importance: str = "curves",
    repair: str = "ls",
    rules: WidthRules | None = None,
    network: Network | None = None,
    calibration_images: int = 500,
    device: str | torch.device | None = None,
    path: str | Path | None = None,
    on_stage: Callable[[str], None] | None = None,
    on_calibration: Callable[[int, int], None] = lambda done, total: None,
    on_trial: Callable[[Trial], None] | None = None,
    executor: str | Executor = "serial",
) -> Comparison:
    """Run every searcher with every seed on one network; closed forms once, since they know no chance.

    A limit on latency is one on the model of it, which the closed-form plan corrected: the same for all searchers, so
    that they compare. The plans themselves are not timed, as that of `compress` is.

    Args:
        searchers: names, `module:attribute`, or your own; see `compress`, as for all other arguments.
        seeds: one run of each searcher for each.
        episodes: reward evaluations that each run may use.
        path: file that is written after each run; runs that it holds already are not run again.
        on_stage: called with "trace", "calibrate", "curves", the name of each run, and "test".

    Raises:
        ConfigError: two searchers have one name, or the file holds runs under other settings; the message names them.
        GnnrlError: see `gnnrl.errors`.
    """
    clock = Clock(on_stage)
    check_search(episodes)
    where = find_executor(executor)
    found = {name_of(searcher): (searcher, find_searcher(searcher)) for searcher in searchers}
    if not found or not seeds or len(found) < len(searchers) or len(set(seeds)) < len(seeds):
        raise ConfigError("a comparison needs searchers and seeds, each of a name and a number of its own")
    read = None if test is None else as_evaluate(test, example_inputs)
    asked = {
        "constraint": str(constraint),
        "episodes": episodes,
        "importance": importance,
        "repair": repair,
        "rules": asdict(rules or WidthRules()),
        "calibration_images": calibration_images,
    }
    before = _saved(asked, path)
    study = Study.prepare(
        model,
        example_inputs,
        constraint,
        evaluate=evaluate,
        calibration=calibration,
        importance=importance,
        repair=repair,
        rules=rules,
        network=network,
        calibration_images=calibration_images,
        device=device,
        begin=clock.begin,
        progress=on_calibration,
    )
    budgets = {name: evaluations_of(searcher, episodes) for name, (searcher, _) in found.items()}
    planned = tuple((name, seed) for seed in seeds for name in found if budgets[name] > 1 or seed == seeds[0])
    settings = asked | {"network": study.network.fingerprint}
    fresh = Comparison(json.loads(json.dumps(settings)), {"reward": study.dense}, planned)
    comparison = fresh if before is None else _resumed(fresh, before, path)
    with started(where, study.evaluator().judge):
        for name, seed in comparison.missing:
            clock.begin(f"{name}, seed {seed}")
            task = study.task(budgets[name], seed)
            task.evaluator.executor = where
            comparison.runs.append(_run(task, name, found[name][1], on_trial))
            _write(comparison, path)
    if read is not None:
        clock.begin("test")
        _read_test(study, comparison, read, path)
    clock.end()
    return comparison


def _saved(asked: Mapping[str, Any], path: str | Path | None) -> Comparison | None:
    """The comparison that a file holds, if any; it is refused before any work where other settings are asked for."""
    if path is None or not Path(path).exists():
        return None
    before = Comparison.load(path)
    _refuse_others(_differing(asked, before), path)
    return before


def _differing(settings: Mapping[str, Any], before: Comparison) -> list[str]:
    known = json.loads(json.dumps(dict(settings)))
    return [name for name, value in known.items() if before.settings.get(name) != value]


def _refuse_others(differing: Sequence[str], path: str | Path | None) -> None:
    if differing:
        raise ConfigError(
            f"{path} holds runs under other settings ({', '.join(differing)}); give another file, or delete this one"
        )


def _resumed(fresh: Comparison, before: Comparison, path: str | Path | None) -> Comparison:
    """A new comparison with the runs that a file holds."""
    differing = _differing(fresh.settings, before)
    if not np.isclose(before.dense["reward"], fresh.dense["reward"], rtol=_TOLERANCE):
        differing.append("reward of the dense network")
    _refuse_others(differing, path)
    planned = dict.fromkeys((*before.planned, *fresh.planned))
    asked = set(fresh.planned)
    done = {(found.searcher, found.seed) for found in before.runs}
    return replace(
        fresh, dense=before.dense, planned=tuple(pair for pair in planned if pair in asked | done), runs=before.runs
    )


def _run(task: Task, name: str, searcher: Searcher, on_trial: Callable[[Trial], None] | None) -> Run:
    start, seconds = perf_counter(), list[float]()

    def note(trial: Trial) -> None:
        seconds.append(perf_counter() - start)
        if on_trial:
            on_trial(trial)

    task.on_trial = note
    best = run(searcher, task)
    return Run(name, task.seed, tuple(trial.score for trial in task.evaluator.trials), tuple(seconds), best.widths)


def _read_test(study: Study, comparison: Comparison, read: Evaluate, path: str | Path | None) -> None:
    """Read the test score of every best plan that has none yet, each once."""
    evaluator = study.task(1, 0).evaluator
    if "test" not in comparison.dense:
        comparison.dense["test"] = judged(read, copy_network(study.model), "the dense network")
    for index, found in enumerate(comparison.runs):
        if found.test is None:
            score = judged(read, evaluator.build(evaluator.plan(found.widths)))
            comparison.runs[index] = replace(found, test=score)
            _write(comparison, path)


def _write(comparison: Comparison, path: str | Path | None) -> None:
    if path is not None:
        comparison.save(path)
