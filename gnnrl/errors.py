"""Errors and warnings of gnnrl, with exit codes of the command line.

    GnnrlError                     1   every error that gnnrl raises on purpose
    ├── ConfigError                2   a setting, limit, pattern or argument is wrong
    │   └── InputsError            2   the network does not run on its example inputs
    ├── TraceError                 3   the network cannot be analysed
    │   └── NothingToPrune         3   no channel of the network may be removed
    ├── UnreachableConstraint      4   no plan within the rules meets the limit
    ├── DataError                  5   images, labels or a loader are unusable
    │   └── EvaluationError        5   the user's score of a network failed
    ├── ArtifactError              6   weights, a plan or a saved result do not fit or are damaged
    ├── ExportError                7   the network cannot be written in another format
    ├── ResourceError              8   the disk is full or read-only, or memory is short
    ├── RunInUse                   9   another process works in the run directory
    └── VerificationError          1   the pruned network is not what the plan says: a bug in gnnrl

The number is the exit code. A message names the layer, key or file, says what was found, and says what to do.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class GnnrlError(Exception):
    """Base class of all errors that gnnrl raises on purpose."""

    exit_code = 1


class ConfigError(GnnrlError, ValueError):
    """A setting, limit, pattern or argument is wrong."""

    exit_code = 2


class InputsError(ConfigError):
    """The network does not run on its example inputs.

    Attributes:
        found: what happened, without the advice; the command line gives advice of its own.
    """

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found

    def __str__(self) -> str:
        return (
            f"{self.found}. Give example_inputs with the shape, type and device that its forward expects, batch "
            "dimension first."
        )


class TraceError(GnnrlError):
    """The network cannot be analysed."""

    exit_code = 3


class NothingToPrune(TraceError):
    """The network was analysed, and no channel of it may be removed."""


class UnreachableConstraint(GnnrlError):
    """No plan within the rules meets the limit."""

    exit_code = 4


class DataError(GnnrlError):
    """Images, labels or a loader are unusable."""

    exit_code = 5


class EvaluationError(DataError):
    """The user's score of a network failed, or is not a finite number."""


class ArtifactError(GnnrlError):
    """A file of weights, a plan or a saved result does not fit or is damaged."""

    exit_code = 6


class ExportError(GnnrlError):
    """The network cannot be written in another format, or computes different numbers in it."""

    exit_code = 7


class ResourceError(GnnrlError):
    """The disk is full or read-only, or memory is short. Files that were saved earlier are intact."""

    exit_code = 8


class RunInUse(GnnrlError):
    """Another process works in the run directory."""

    exit_code = 9


class VerificationError(GnnrlError):
    """The pruned network is not what the plan says. This is a bug in gnnrl; please report it."""


class GnnrlWarning(UserWarning):
    """Base class of warnings: something that the user should look at, although the work continues."""


class RunWarning(GnnrlWarning):
    """A run was repaired, or may differ from an uninterrupted one. The user need not act."""


def first_line(error: Exception) -> str:
    """Return the first line of an error's message that says something, without the full stop."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    useful = [line for line in lines if not line.startswith("Constraints violated")]
    return (useful or lines or [type(error).__name__])[0][:300].rstrip(".")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the machine or a GPU is short of memory."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )


def wants_contiguous(error: RuntimeError) -> bool:
    """Return whether a network failed because it views (`x.view(n, -1)`) channels-last images."""
    return "view size is not compatible" in str(error)


def question(name: str, known: Iterable[str], most: int = 1) -> str:
    """Ask for the name that was meant: "did you mean conv1 or conv2?". Return "" if no known name is similar."""
    *others, last = ["", *get_close_matches(name, list(known), n=most, cutoff=0.6 if most == 1 else 0.5)]
    near = " or ".join(filter(None, [", ".join(others[1:]), last]))
    return f"did you mean {near}?" if near else ""


def choices(name: str, known: Iterable[str]) -> str:
    """Ask for the name that was meant, if a known name is similar, and list all known names."""
    names = list(known)
    hint = question(name, names)
    return f"{hint} There are {', '.join(names)}" if hint else f"there are {', '.join(names)}"


def explained(error: BaseException, message: str | None = None) -> str:
    """Return an error's message, or a replacement for it, followed by the error's notes."""
    return "\n".join([str(error) if message is None else message, *getattr(error, "__notes__", ())])
