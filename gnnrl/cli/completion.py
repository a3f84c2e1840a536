"""Names that the shell completes. The names of networks are a file here, so that no library must be loaded."""

from collections.abc import Callable, Iterable, MutableMapping
from functools import cache
from pathlib import Path

MODELS = Path(__file__).with_name("model_names.txt")
"""Names of networks, one a line; scripts/write_model_names.py writes them."""
DATA = ("digits", *(f"torchvision:{name}" for name in ("CIFAR10", "CIFAR100", "FashionMNIST", "KMNIST", "MNIST")))
_hidden: list[str] = []
"""The part of the name before a colon, at which bash ends the word that it completes."""


def complete_model(incomplete: str) -> list[str]:
    """Complete the name of a network, or the path of a Python file."""
    return _shown(incomplete, [*_models(), *_paths(incomplete, "*.py")])


def complete_data(incomplete: str) -> list[str]:
    """Complete the name or the path of data."""
    return _shown(incomplete, [*DATA, *_paths(incomplete, "*")])


def each_of(names: Iterable[str]) -> Callable[[str], list[str]]:
    """Make a completion of names joined by commas."""

    def complete(incomplete: str) -> list[str]:
        before, comma, _ = incomplete.rpartition(",")
        return _shown(incomplete, [f"{before}{comma}{name}" for name in names if name not in before.split(",")])

    return complete


def hide_broken(environment: MutableMapping[str, str]) -> None:
    """Join the words that bash splits at a colon in its request for a completion."""
    if environment.get("_GNNRL_COMPLETE") != "complete_bash":
        return
    words = environment.get("COMP_WORDS", "").split("\n")
    place = int(environment.get("COMP_CWORD", "0"))
    if not 0 < place <= len(words):  # another shell splits words by itself
        return
    if ":" not in (before := words[place - 1], words[min(place, len(words) - 1)]):
        return
    ends_at_colon = before != ":"
    start = place - (1 if ends_at_colon else 2)
    rest = "" if ends_at_colon or place >= len(words) else words[place]
    _hidden.append(words[start] + ":")
    environment["COMP_WORDS"] = "\n".join([*words[:start], rest])
    environment["COMP_CWORD"] = str(start)


@cache
def _models() -> list[str]:
    return MODELS.read_text().split()


def _paths(incomplete: str, pattern: str) -> list[str]:
    folder, slash, _ = incomplete.rpartition("/")
    try:
        found = sorted(Path(f"{folder}{slash}" or ".").glob("*"))
        return [
            f"{folder}{slash}{path.name}{'/' * path.is_dir()}" for path in found if path.is_dir() or path.match(pattern)
        ]
    except OSError:
        return []


def _shown(incomplete: str, names: Iterable[str]) -> list[str]:
    before = "".join(_hidden)
    return [name.removeprefix(before) for name in names if name.startswith(before + incomplete)]
