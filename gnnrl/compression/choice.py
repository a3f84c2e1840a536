"""The choice between the fine-tuned and the repaired network: a fine-tuning that ruins is not kept."""

import warnings
from collections.abc import Mapping

from torch import nn

from gnnrl.errors import GnnrlWarning
from gnnrl.modules.copies import copy_network
from gnnrl.report.names import sampling_error
from gnnrl.scoring.adapters import as_tally
from gnnrl.scoring.plans import Evaluate, score_network

SHARE = 0.01
"""Loss that is accepted of a user's own score, as a share of what pruning without repair changed."""


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
