"""compress, sweep and compare: the whole way in one call each, short forms of `Study`."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gnnrl.compression.comparison import Comparison
from gnnrl.compression.contest import Contest
from gnnrl.compression.observer import Callbacks
from gnnrl.compression.result import CompressionResult
from gnnrl.compression.search import Search
from gnnrl.compression.study import DEFAULT_SEARCHERS, Study
from gnnrl.network.structure import Network
from gnnrl.pruning.rules import WidthRules
from gnnrl.runs.directory import RunDirectory
from gnnrl.scoring.adapters import as_test
from gnnrl.scoring.plans import Evaluate, Executor, Trial
from gnnrl.searchers.task import Searcher


def compress(
    model: nn.Module,
    example_inputs: Any,
    constraint: str,
    *,
    evaluate: Evaluate | Iterable[Any],
    calibration: Iterable[Any] | None = None,
    test: Evaluate | Iterable[Any] | None = None,
    finetune: Callable[[nn.Module], Any] | None = None,
    searcher: str | type | Searcher = "ppo",
    episodes: int = 150,
    importance: str = "curves",
    repair: str = "ls",
    rules: WidthRules | None = None,
    network: Network | None = None,
    calibration_images: int = 500,
    seed: int = 0,
    device: str | torch.device | None = None,
    on_stage: Callable[[str], None] | None = None,
    on_trial: Callable[[Trial], None] | None = None,
    on_calibration: Callable[[int, int], None] | None = None,
    run: str | Path | RunDirectory | None = None,
    executor: str | Executor = "serial",
    keep: str = "better",
) -> CompressionResult:
    """Search, prune, repair, verify and fine-tune a network.

    Args:
        model: any module that `torch.export` accepts; it is not changed.
        example_inputs: a tensor, a tuple or a dictionary of inputs, batch dimension first.
        constraint: a limit, such as `macs<=50%` or `latency<=60%`, or several joined by commas. The limit on latency
            holds for a forward pass of the example inputs, on this device and with as many threads as PyTorch uses.
        evaluate: the reward: a function from a network to a score (higher is better), or batches (x, y) for top-1. It
            is given copies, and may change them.
        calibration: batches x or (x, y) for error curves and repair; labels only for the criterion `taylor`.
        test: the same as `evaluate`, read after the search for each entry of `score`, never by the search.
        finetune: trains the small network in place; `partial(gnnrl.training.finetune, train_data=..., snapshots=...)`
            resumes after its last epoch if it was interrupted.
        searcher: a name of `gnnrl.searchers.table`, `module:attribute`, or your own function of a `Task`, or its class.
        episodes: plans that the search may score.
        importance: which units go first: "curves", "l1", "l2", "bn_scale", "taylor" or "random".
        repair: "ls" (least squares and batch normalisation), "bn" or "none".
        rules: allowed widths.
        network: what `trace` returned for this model, to save tracing it again.
        device: where to compute; by default where the model is.
        on_stage: called with the name of each stage as it begins.
        on_trial: called after each scored plan.
        on_calibration: called with (done, total) while layers are measured and error curves are computed.
        run: a directory that keeps every trial as it is made. Called again after any interruption with the same
            arguments, the search resumes and ends as if it had never stopped; with more `episodes` it goes further.
        executor: where plans are scored: "serial", here; "process", in as many processes as there are processors;
            "ray", on a cluster; or an executor of your own, see `gnnrl.executors`. The result does not depend on it.
        keep: "better" warns and keeps the repaired network if the fine-tuned one is worse on the data of `evaluate`:
            its top-1 by more than half the 95 % interval, or the score of a function of yours by more than 1 % of what
            pruning without repair changed it by. "finetuned" always keeps the fine-tuned one.

    Raises:
        GnnrlError: see `gnnrl.errors`; nothing is written but `run`.
        RunInUse, ConfigError: another process works in `run`, or it was started with other arguments; it lists them.
    """
    search = Search(searcher, episodes, seed, finetune, executor, keep)
    read = None if test is None else as_test(test, model, example_inputs)
    study = Study(
        model,
        example_inputs,
        evaluate=evaluate,
        calibration=calibration,
        rules=rules,
        importance=importance,
        repair=repair,
        calibration_images=calibration_images,
        network=network,
        seed=seed,
        device=device,
        observer=Callbacks(on_stage, on_trial, on_calibration),
    )
    return study.compress(constraint, search, test=read, run=run)


def sweep(
    model: nn.Module,
    example_inputs: Any,
    constraints: Sequence[str],
    *,
    on_limit: Callable[[str], None] | None = None,
    on_result: Callable[[CompressionResult], None] | None = None,
    **settings: Any,
) -> tuple[CompressionResult, ...]:
    """Compress one network to several limits; it is traced and calibrated once.

    Args:
        constraints: such as ["macs<=70%", "macs<=50%", "macs<=30%"].
        on_limit: called with each limit before its search.
        on_result: called with each result as soon as it is there, to save it.
        settings: all others are those of `compress`, and the same for all limits. A `run` is a folder, which has a run
            directory for each limit.

    Returns:
        one result for each limit, in order.

    Raises:
        ConfigError: no limits, or one twice.
        UnreachableConstraint: a limit that cannot be met, before anything is searched.
        GnnrlError: see `compress`.
    """
    study, rest = _study(model, example_inputs, settings)
    return study.sweep(constraints, on_limit=on_limit, on_result=on_result, **rest)


def compare(
    model: nn.Module,
    example_inputs: Any,
    constraint: str,
    *,
    searchers: Sequence[str | type | Searcher] = DEFAULT_SEARCHERS,
    seeds: Sequence[int] = (0, 1, 2),
    episodes: int = 150,
    path: str | Path | None = None,
    **settings: Any,
) -> Comparison:
    """Run every searcher with every seed on one network; closed forms once, since they do not depend on the seed.

    A limit on latency is one on the model of it, which the closed-form plan corrected: the same for all searchers, so
    that they compare. The plans themselves are not timed, as that of `compress` is.

    Args:
        searchers: names, `module:attribute`, or your own; see `compress`, as for all other arguments.
        seeds: one run of each searcher for each.
        episodes: plans that each run may score.
        path: file that is written after each run; runs that it holds already are not run again.
        settings: `evaluate`, `calibration`, `test`, `importance`, `repair`, `rules`, `network`, `calibration_images`,
            `device`, `executor`, `on_stage`, `on_calibration` and `on_trial` as in `compress`.

    Raises:
        ConfigError: two searchers have one name, or the file holds runs under other settings; the message names them.
        GnnrlError: see `gnnrl.errors`.
    """
    contest = Contest.of(searchers, seeds, episodes, path)
    study, rest = _study(model, example_inputs, settings)
    return study.compare(constraint, contest, **rest)


_CALLBACKS = {"on_stage": "on_stage", "on_trial": "on_trial", "on_calibration": "on_advance"}
_OF_A_STUDY = (
    "evaluate",
    "calibration",
    "rules",
    "importance",
    "repair",
    "calibration_images",
    "network",
    "seed",
    "device",
)


def _study(model: nn.Module, example_inputs: Any, settings: dict[str, Any]) -> tuple[Study, dict[str, Any]]:
    """The study that arguments of `compress` ask for, and the other arguments."""
    rest = dict(settings)
    calls = {ours: rest.pop(given) for given, ours in _CALLBACKS.items() if given in rest}
    known = {name: rest.pop(name) for name in _OF_A_STUDY if name in rest}
    study = Study(model, example_inputs, observer=Callbacks(**calls), **known)
    return study, rest
