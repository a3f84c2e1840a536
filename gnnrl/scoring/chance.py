"""Chance: the accuracy that a network without knowledge of the classes may reach by guessing."""

from scipy.stats import binom

from gnnrl.scoring.classes import ClassTally


def is_guess(share: float, samples: int, classes: int) -> bool:
    """Return whether a share of recognised samples, in [0, 1], is within the 99 % bound of guessing.

    The bound is the quantile of Binomial(samples, 1 / classes). So few samples that guessing may recognise all of them
    prove nothing: then it is False.
    """
    if classes < 2 or samples < 1:
        return False
    bound = int(binom.ppf(0.99, samples, 1 / classes))
    return bound < samples and round(share * samples) <= bound


def doubt_of(tally: ClassTally, share: float) -> str:
    """Say that a network only guesses, whose share of recognised samples a tally has just measured; else ""."""
    samples, classes = sum(tally.images), len(tally.images)
    if not is_guess(share, samples, classes):
        return ""
    return (
        f"the network recognises {share:.1%} of {samples:,} samples, {classes} classes: no more than guessing. Do its "
        "weights, the preprocessing and the order of the classes belong to these data?"
    )
