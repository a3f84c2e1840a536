"""A reward of one's own: any function from a network to a number, higher is better.

    python examples/own_reward.py

Here it is the accuracy of the worst class, which top-1 does not protect. The function gets the candidate as it would
be shipped: really pruned and repaired. It must be repeatable: equal networks get equal scores.
"""

import torch
from digits import load_digits
from torch import nn

import gnnrl
from gnnrl.training import evaluator
from gnnrl.zoo.batches import batched
from gnnrl.zoo.data import DataSplits
from gnnrl.zoo.models import example_inputs


class WorstClass:
    """Recall of the class that is recognised worst, in [0, 1], plus a little top-1 to tell equal ones apart."""

    def __init__(self, digits: DataSplits) -> None:
        self.images, self.labels = digits.reward.batch(torch.arange(len(digits.reward)))

    @torch.no_grad()
    def __call__(self, model: nn.Module) -> float:
        """Score a network."""
        right = (model.eval()(self.images).argmax(1) == self.labels).double()
        recalls = [right[self.labels == label].mean() for label in self.labels.unique()]
        return float(torch.stack(recalls).min() + 0.01 * right.mean())


def main(episodes: int = 24) -> None:
    """Compress the digits network so that no digit is forgotten."""
    model, digits = load_digits()
    result = gnnrl.compress(
        model,
        example_inputs("digits-resnet"),
        "macs<=35%",
        evaluate=WorstClass(digits),
        calibration=batched(digits.train, 250),
        test=evaluator(digits.test),
        episodes=episodes,
    )
    print(
        f"worst class of the reward images {result.reward:.4f}, top-1 of the test images {result.score['repaired']:.2%}"
    )


if __name__ == "__main__":
    main()
