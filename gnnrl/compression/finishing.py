"""From the best plan to the small network: prune, verify, repair, fine-tune, test.

A fine-tuning that ruins the network is not kept.
"""

import warnings
from collections.abc import Mapping
from typing import Any

from torch import nn

from gnnrl.compression.goal import Goal
from gnnrl.compression.observer import Clock
from gnnrl.compression.result import CompressionResult, Settings
from gnnrl.compression.search import Search
from gnnrl.errors import GnnrlWarning
from gnnrl.latency.agreement import Agreement
from gnnrl.modules.copies import copy_network
from gnnrl.network.cost import measure
from gnnrl.network.surgery import remove
from gnnrl.pruning.verification import verify
from gnnrl.report.names import sampling_error
from gnnrl.scoring.adapters import as_tally
from gnnrl.scoring.chance import doubt_of
from gnnrl.scoring.classes import ClassTally
from gnnrl.scoring.plans import Evaluate, score_network
from gnnrl.searchers.task import Task
from gnnrl.training.own_function import train_by

SHARE = 0.01
"""Loss that is accepted of a user's own score, as a share of what pruning without repair changed."""


def finish(
    task: Task,
    inputs: Any,
    goal: Goal,
    agreed: Agreement | None,
    search: Search,
    final: Evaluate,
    settings: Settings,
    doubt: str,
    clock: Clock,
) -> CompressionResult:
    """Make the small network of the best plan of a task that was searched.

    Args:
        agreed: the plan whose measured latency meets the limit, if latency is limited.
        final: function that scores the network of every stage.
        doubt: why the reward says little.
    """
    network, scorer, dense = goal.network, task.scorer, task.scorer.model
    widths = task.best.widths if agreed is None else agreed.widths
    reward = task.reward(widths)
    clock.begin("verify")
    plan = scorer.plan(widths)
    assert plan.kept is not None
    pruned = remove(dense, network, plan.kept)
    verification = verify(dense, pruned, network, plan.kept, inputs)
    step = scorer.step_back(pruned, plan)
    small = scorer.build(plan, task.seconds, step)
    stages = {"dense": dense, "pruned": pruned, "repaired": small}
    kept = _trained(stages, search, scorer.evaluate, clock)
    clock.begin("test")
    score = {name: score_network(final, copy_network(candidate)) for name, candidate in stages.items()}
    if isinstance(final, ClassTally) and not doubt and (doubt := doubt_of(final, score["dense"])):
        warnings.warn(f"test: {doubt}", GnnrlWarning, stacklevel=3)
    clock.end()
    return CompressionResult(
        model=stages[kept],
        kept=kept,
        plan=plan,
        network=network,
        score=score,
        reward=reward,
        latency=None if agreed is None else agreed.check,
        history=tuple(task.trials),
        cost={"dense": measure(network), "pruned": measure(network, plan)},
        verification=verification,
        seconds=dict(clock.seconds),
        search_seconds=task.seconds,
        classes=final.change(-len(score), [*score].index(kept) - len(score)) if isinstance(final, ClassTally) else None,
        settings=settings,
        doubt=doubt,
        unrepaired=step.names,
        unsolved=step.unsolved,
        sensitivity=tuple(curve.sensitivity for curve in task.curves),
    )


def _trained(stages: dict[str, nn.Module], search: Search, evaluate: Evaluate, clock: Clock) -> str:
    """Fine-tune the repaired network if that is asked for, as a stage of its own; return which stage to keep."""
    if search.finetune is None:
        return "repaired"
    small = stages["repaired"]
    stages |= {"repaired": copy_network(small), "finetuned": small}
    clock.begin("finetune")
    train_by(search.finetune, small, clock.advance)
    return "finetuned" if search.keep == "finetuned" else choose(evaluate, stages)


def choose(evaluate: Evaluate, stages: Mapping[str, nn.Module]) -> str:
    """Return "finetuned", or "repaired" with a warning if the fine-tuned network scores worse than chance explains.

    If the reward reads labelled batches, top-1 on them decides, and the half-width of its 95 % interval is accepted.
    The precision of a user's own function is not known: 1 % of the distance between the dense and the pruned network
    is accepted.

    Args:
        evaluate: the reward, not the test.
        stages: the networks dense, pruned, repaired and finetuned.
    """
    tally = as_tally(evaluate)
    reward = tally or evaluate
    before, after = (score_network(reward, copy_network(stages[name])) for name in ("repaired", "finetuned"))
    if before <= after:
        return "finetuned"
    if tally is None:
        dense, pruned = (score_network(reward, copy_network(stages[name])) for name in ("dense", "pruned"))
        accepted, form = SHARE * abs(dense - pruned), ".4g"
    else:
        accepted, form = sampling_error(before, sum(tally.images)), ".1%"
    if before - after <= accepted:
        return "finetuned"
    name = "score" if tally is None else f"top-1 on {sum(tally.images):,} samples"
    warnings.warn(
        f"fine-tuning made the network worse: its {name} of the reward fell from {before:{form}} to {after:{form}}, by "
        f"more than {accepted:{form}}. The repaired network is kept. Train with a smaller learning rate",
        GnnrlWarning,
        stacklevel=2,
    )
    return "repaired"
