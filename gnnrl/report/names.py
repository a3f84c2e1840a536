"""Numbers and names as people read them."""

from collections.abc import Mapping, Sequence
from math import exp, sqrt

_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
STAGES = {"dense": "dense", "pruned": "pruned", "repaired": "repaired", "finetuned": "fine-tuned"}


def count(value: float) -> str:
    """Write a count with three digits and a unit, 1.63 M; counts below 1,000 in full."""
    for size, unit in _UNITS:
        if value >= size:
            return f"{value / size:.3g} {unit}" if value < 999.5 * size else f"{value / size:,.0f} {unit}"
    return f"{value:,.0f}"


def score(value: float, metric: str) -> str:
    """Write a score: as a percentage if it is top-1, else with four digits."""
    return minus(f"{value:.1%}" if metric == "top1" else f"{value:.4g}")


def score_change(before: float, after: float, metric: str) -> str:
    """Write the change of a score, in points if it is top-1."""
    return minus(f"{100 * (after - before):+.1f} points" if metric == "top1" else f"{after - before:+.4g}")


def minus(number: str) -> str:
    """Write a negative number with a minus sign as wide as a plus."""
    return f"−{number[1:]}" if number.startswith("-") else number


def sampling_error(value: float, images: int) -> float:
    """Return half of the 95 % interval of an accuracy on this many images.

        z / (1 + z²/n) · √(p(1 − p)/n + z²/4n²),  z = 1.96

    Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953; it is not zero where all images are recognised.

    Args:
        value: p, the accuracy, in [0, 1].
        images: n, at least 1.
    """
    square = 1.96**2 / images
    return sqrt(value * (1 - value) * square + square**2 / 4) / (1 + square)


def mood(before: float, after: float, images: int) -> str:
    """Return the class of a change's colour: "even" within the 95 % interval, beyond it "bad" or "good"."""
    if not images or abs(after - before) <= sampling_error(min(max(before, 0.0), 1.0), images):
        return "even"
    return "good" if after > before else "bad"


def is_worse(before: float, after: float, images: int) -> bool:
    """Return whether an accuracy fell by more than its 95 % interval on this many images."""
    return mood(before, after, images) == "bad"


def metric_name(metric: str) -> str:
    """Name a score."""
    return "top-1 accuracy" if metric == "top1" else "score"


def reward_name(reward: str) -> str:
    """Name the reward of a search."""
    names = {"top1": "top-1", "loss": "minus the loss", "kl": "minus the divergence from the dense network"}
    return f"{names[reward]} on the reward images" if reward in names else "reward"


def plural(number: int, noun: str, ending: str = "s") -> str:
    """Write a number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else ending}"


def duration(seconds: float) -> str:
    """Write a duration in seconds, minutes or hours."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def unrepaired(worse: Sequence[str], unsolved: Sequence[str] = ()) -> str:
    """Say which weights were not repaired, and why; empty if all were."""
    reasons = (
        (worse, "their repair made them worse on calibration images that it did not see"),
        (unsolved, "the repair cannot solve weights like these (transposed, recurrent, normalised or shared ones)"),
    )
    return " ".join(f"Not repaired: {_shortened(names)}; {reason}." for names, reason in reasons if names)


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def factor(sensitivity: float) -> str:
    """Return a sensitivity, which is a logarithm, as a factor: ×2.7."""
    value = exp(sensitivity)
    return f"×{value:.2g}" if value < 10 else f"×{value:.0f}"


def extremes(sensitivities: Mapping[str, float | None], most: int = 5) -> tuple[list[str], list[str]]:
    """Name the groups on which the outputs depend most, and least, with their factors; at most half of them each."""
    known = sorted(((value, name) for name, value in sensitivities.items() if value is not None), reverse=True)
    count = min(most, len(known) // 2)
    most_, least = known[:count], known[::-1][:count]
    return [f"{name} {factor(value)}" for value, name in most_], [f"{name} {factor(value)}" for value, name in least]
