"""compress(model, example_inputs, constraint, ...): the whole way in one call."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gnnrl.compression.clock import Clock
from gnnrl.compression.result import CompressionResult
from gnnrl.compression.study import Study
from gnnrl.errors import ConfigError
from gnnrl.executors.table import find_executor
from gnnrl.modules.copies import copy_network
from gnnrl.modules.modes import outside_inference
from gnnrl.network.cost import measure
from gnnrl.network.structure import Network
from gnnrl.network.surgery import remove
from gnnrl.pruning.rules import WidthRules
from gnnrl.pruning.verification import verify
from gnnrl.runs.directory import RunDirectory, held
from gnnrl.runs.memory import SearchMemory
from gnnrl.runs.timings import ledger_of
from gnnrl.scoring.adapters import as_test
from gnnrl.scoring.classes import ClassTally
from gnnrl.scoring.plans import Evaluate, Evaluator, Executor, Trial, judged
from gnnrl.searchers.table import evaluations_of, find_searcher, name_of
from gnnrl.searchers.task import Searcher, check_search
from gnnrl.training.own_function import train_by

STAGES = ("trace", "latency", "calibrate", "curves", "search", "verify", "finetune", "test")
"""Layers are timed where latency is limited, and the result is fine-tuned where a function for that is given."""


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
    study: Study | None = None,
    on_stage: Callable[[str], None] | None = None,
    on_trial: Callable[[Trial], None] | None = None,
    on_calibration: Callable[[int, int], None] = lambda done, total: None,
    run: str | Path | RunDirectory | None = None,
    executor: str | Executor = "serial",
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
            goes on after its last epoch where it was interrupted.
        searcher: a name of `gnnrl.searchers.table`, `module:attribute`, or your own function of a `Task`, or its class.
        episodes: reward evaluations that the search may use.
        importance: which units go first: "curves", "l1", "l2", "bn_scale", "taylor" or "random".
        repair: "ls" (least squares and batch normalisation), "bn" or "none".
        rules: allowed widths.
        network: what `trace` returned for this model, to save tracing it again.
        device: where to compute; by default where the model is.
        study: what is known of this model and these data already; then nothing is traced or calibrated, and
            `importance`, `repair` and `calibration_images` are those of the study.
        on_stage: called with the name of each stage as it begins.
        on_trial: called after each evaluation.
        on_calibration: called with (channels weighed, channels in all) while error curves are computed.
        run: a directory that keeps every evaluation as it is made. Called again after any interruption with the same
            arguments, the search goes on and ends as if it had never stopped; with more `episodes` it goes further.
        executor: where plans are judged: "serial", here; "process", in as many processes as there are processors;
            "ray", on a cluster; or an executor of your own, see `gnnrl.executors`. The result does not depend on it.

    Raises:
        GnnrlError: see `gnnrl.errors`; nothing is written but `run`.
        RunInUse, ConfigError: another process works in `run`, or it was started with other arguments; it lists them.
    """
    clock = Clock(on_stage)
    read = None if test is None else as_test(test, model, example_inputs)
    search, where = find_searcher(searcher), find_executor(executor)
    check_search(episodes, seed)
    if finetune is not None and not callable(finetune):
        raise ConfigError(f"finetune must be a function that trains a network in place, got {finetune!r}")
    settings = {
        "constraint": str(constraint),
        "searcher": name_of(searcher),
        "episodes": episodes,
        "importance": importance if study is None else study.importance,
        "repair": repair if study is None else study.repair,
        "seed": seed,
    }
    with outside_inference(), held(run) as directory:
        ledger = ledger_of(directory)
        if study is not None:
            study = study.onto(constraint, rules, ledger)
        else:
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
                seed=seed,
                device=device,
                begin=clock.begin,
                progress=on_calibration,
                ledger=ledger,
            )
        clock.begin("search")
        memory = None if directory is None else _memory(directory, study, settings, rules, calibration_images)
        evaluator = study.search(search, evaluations_of(searcher, episodes), seed, on_trial, memory, where)
        return _finished(study, evaluator, clock, finetune, read, settings)


def _finished(
    study: Study,
    evaluator: Evaluator,
    clock: Clock,
    finetune: Callable[[nn.Module], Any] | None,
    read: Evaluate | None,
    settings: dict[str, Any],
) -> CompressionResult:
    """Make the small network of the best plan: prune, verify, repair, fine-tune, test."""
    dense, network = study.model, study.network
    agreed = study.on_time(np.array(evaluator.best.widths))
    widths = evaluator.best.widths if agreed is None else agreed.widths
    reward = evaluator.score(widths)
    clock.begin("verify")
    plan = evaluator.plan(widths)
    assert plan.kept is not None
    pruned = remove(dense, network, plan.kept)
    verification = verify(dense, pruned, network, plan.kept, study.inputs)
    small = evaluator.build(plan)
    final = study.judge if read is None else read
    repaired = small if finetune is None else copy_network(small)
    if finetune is not None:
        clock.begin("finetune")
        train_by(finetune, small)
    clock.begin("test")
    candidates = {"dense": dense, "pruned": pruned, "repaired": repaired} | (
        {} if finetune is None else {"finetuned": small}
    )
    score = {name: judged(final, copy_network(candidate)) for name, candidate in candidates.items()}
    clock.end()
    return CompressionResult(
        model=small,
        plan=plan,
        network=network,
        score=score,
        reward=reward,
        latency=None if agreed is None else agreed.check,
        history=tuple(evaluator.trials),
        cost={"dense": measure(network), "pruned": measure(network, plan)},
        verification=verification,
        seconds=clock.seconds,
        search_seconds=evaluator.seconds,
        classes=read.change(-len(score), -1) if isinstance(read, ClassTally) else None,
        settings=settings,
    )


def _memory(
    directory: RunDirectory, study: Study, settings: dict[str, Any], rules: WidthRules | None, calibration_images: int
) -> SearchMemory:
    """What a run remembers of this very search."""
    asked = {name: value for name, value in settings.items() if name != "episodes"}
    rest = {"rules": asdict(rules or WidthRules()), "calibration_images": calibration_images}
    directory.identify({**asked, **rest, **study.identity()})
    return SearchMemory(directory)
