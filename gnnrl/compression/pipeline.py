"""compress, sweep and compare: short forms of `Study`, each of them one call."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gnnrl.compression.comparison import Comparison
from gnnrl.compression.contest import DEFAULT_SEARCHERS, Contest
from gnnrl.compression.evidence import Criteria
from gnnrl.compression.observer import Callbacks
from gnnrl.compression.progress import is_watched
from gnnrl.compression.result import CompressionResult
from gnnrl.compression.search import Search
from gnnrl.compression.study import Study
from gnnrl.engines.engine import Engine
from gnnrl.modules.outputs import Outputs
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
    outputs: Outputs | None = None,
    engines: Mapping[str, Engine] | None = None,
    calibration_images: int = 500,
    seed: int = 0,
    device: str | torch.device | None = None,
    on_stage: Callable[[str], None] | None = None,
    on_trial: Callable[[Trial], None] | None = None,
    on_calibration: Callable[[int, int], None] | None = None,
    run: str | Path | RunDirectory | None = None,
    executor: str | Executor = "serial",
    keep: str = "better",
    progress: bool | None = None,
) -> CompressionResult:
    """Search, prune, repair, verify and fine-tune a network.

    Args:
        model: any module that `torch.export` accepts; it is not changed.
        example_inputs: a tensor, a tuple or a dictionary of inputs, batch dimension first.
        constraint: a limit, such as `macs<=50%` or `latency<=60%`, or several joined by commas. The limit on latency
            holds for a forward pass of the example inputs, on this device and with as many threads as PyTorch uses; in
            the engine that it names, as in `latency<=60%@onnxruntime` or `latency<=5ms@openvino:int8`, else in PyTorch.
        evaluate: the reward: a function from a network to a score (higher is better), or batches (x, y) for top-1. The
            function gets copies, and may change them.
        calibration: batches x or (x, y) for error curves and repair; labels only for the criterion `taylor`.
        test: test data, in the form of `evaluate`; only read after the search, for each entry of `score`.
        finetune: function that trains the small network in place. If interrupted,
            `partial(gnnrl.training.finetune, train_data=..., snapshots=...)` resumes after its last epoch.
        searcher: a name of `gnnrl.searchers.table`, `module:attribute`, or your own function of a `Task`, or its class.
        episodes: number of plans that the search may score.
        importance: criterion that ranks units: "curves", "l1", "l2", "bn_scale", "taylor" or "random".
        repair: "ls" (least squares and batch normalisation), "bn" or "none".
        rules: allowed widths.
        network: the result of `trace` for this model, so that it is not traced again.
        outputs: outputs that must keep their shapes and meaning, and by which networks are compared; by default all.
            Names or positions in what the network returns, or a function of it, see `gnnrl.trace`.
        engines: your own engines by name, which a limit on latency may name; see `gnnrl.engines.engine.Engine`.
        device: device to compute on; by default the model's.
        on_stage: function that is called with the name of each stage when it starts.
        on_trial: function that is called after each scored plan.
        on_calibration: called with (done, total) while layers are measured and error curves are computed.
        run: a directory that keeps every trial at once. After an interruption, a call with the same arguments resumes
            the search and gives the same result; more `episodes` extend the search.
        executor: the place where plans are scored: "serial", in this process; "process", in one process for each
            processor; "ray", on a cluster; or your own, see `gnnrl.executors`. The result does not depend on it.
        keep: "better" warns and keeps the repaired network if the fine-tuned one is worse on the data of `evaluate`:
            its top-1 by more than half the 95 % interval, or the score of your function by more than 1 % of its change
            by pruning without repair. "finetuned" always keeps the fine-tuned network.
        progress: show a line for each stage on stderr, with plans and time left; by default in terminals and notebooks.

    Raises:
        GnnrlError: see `gnnrl.errors`; no files are written except in `run`.
        RunInUse: another process works in `run`.
        ConfigError: `run` was started with other arguments; the message lists them.
    """
    search = Search(searcher, episodes, seed, finetune, executor, keep)
    is_whole = outputs is None and (network is None or network.outputs is None)
    read = as_test(test, model, example_inputs) if test is not None and is_whole else test
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
        outputs=outputs,
        engines=engines,
        seed=seed,
        device=device,
        observer=Callbacks(on_stage, on_trial, on_calibration),
        progress=is_watched() if progress is None else progress,
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
        constraints: limits, such as ["macs<=70%", "macs<=50%", "macs<=30%"].
        on_limit: function that is called with each limit before its search.
        on_result: function that is called with each result as soon as it is complete, to save it.
        settings: further arguments of `compress`, the same for all limits. A `run` is a folder, which has a run
            directory for each limit.

    Returns:
        One result for each limit, in order.

    Raises:
        ConfigError: there are no limits, or one is given twice.
        UnreachableConstraint: a limit cannot be met; the searches have not started yet.
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
    """Run every searcher with every seed on one network; closed forms run once, because they ignore the seed.

    A limit on latency applies to the model of latency, which a measurement of the closed-form plan corrects. It is the
    same for all searchers. Unlike in `compress`, the plans that they find are not timed.

    Args:
        searchers: names, `module:attribute`, or your own; see `compress`, also for all other arguments.
        seeds: seeds of the runs of each searcher.
        episodes: number of plans that each run may score.
        path: file that is written after each run; runs that it holds already are not run again.
        settings: `evaluate`, `calibration`, `test`, `importance`, `repair`, `rules`, `network`, `outputs`, `engines`,
            `calibration_images`, `device`, `executor`, `progress`, `on_stage`, `on_calibration` and `on_trial` as in
            `compress`.

    Raises:
        ConfigError: two searchers have the same name, or the file holds runs with other settings, which are listed.
        GnnrlError: see `gnnrl.errors`.
    """
    contest = Contest(searchers, seeds, episodes, path)
    study, rest = _study(model, example_inputs, settings)
    return study.compare(constraint, contest, **rest)


_CALLBACKS = ("on_stage", "on_trial", "on_calibration")


def _study(model: nn.Module, example_inputs: Any, settings: Mapping[str, Any]) -> tuple[Study, Mapping[str, Any]]:
    """Return the study of the arguments of `compress`, and the remaining arguments."""
    rest = {"progress": None, **settings}
    rest["progress"] = is_watched() if rest["progress"] is None else rest["progress"]
    calls = Callbacks(*(rest.pop(name, None) for name in _CALLBACKS))
    names = (*signature(Study).parameters, *signature(Criteria).parameters)
    known = {name: rest.pop(name) for name in names if name in rest}
    return Study(model, example_inputs, observer=calls, **known), rest
