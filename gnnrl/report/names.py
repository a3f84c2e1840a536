"""Numbers and names as people read them."""

_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
STAGES = {"dense": "dense", "pruned": "pruned", "repaired": "repaired", "finetuned": "fine-tuned"}


def count(value: float) -> str:
    """A count of three digits and a unit: 1.63 M; small ones in full."""
    for size, unit in _UNITS:
        if value >= size:
            return f"{value / size:.3g} {unit}" if value < 999.5 * size else f"{value / size:,.0f} {unit}"
    return f"{value:,.0f}"


def score(value: float, metric: str) -> str:
    """A score: a percentage where it is top-1, else four digits."""
    return minus(f"{value:.1%}" if metric == "top1" else f"{value:.4g}")


def score_change(before: float, after: float, metric: str) -> str:
    """How a score changed: in points where it is top-1."""
    return minus(f"{100 * (after - before):+.1f} points" if metric == "top1" else f"{after - before:+.4g}")


def minus(number: str) -> str:
    """A number with the sign that is as wide as a plus."""
    return f"−{number[1:]}" if number.startswith("-") else number


def metric_name(metric: str) -> str:
    """What a score is."""
    return "top-1 accuracy" if metric == "top1" else "score"


def reward_name(reward: str) -> str:
    """What a search raised."""
    return {"top1": "top-1 on the reward images", "loss": "minus the loss on the reward images"}.get(reward, "reward")


def plural(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
