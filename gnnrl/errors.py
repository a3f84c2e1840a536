"""What can go wrong, in the user's words.

    GnnrlError                     1   every error that gnnrl raises on purpose
    ├── ConfigError                2   a setting, limit, pattern or argument is wrong
    │   └── InputsError            2   the network does not run on its example inputs
    ├── TraceError                 3   the network cannot be analysed
    │   └── NothingToPrune         3   it can, but no channel of it may be removed
    ├── UnreachableConstraint      4   no plan within the rules meets the limit
    ├── DataError                  5   images, labels or a loader are unusable
    │   └── EvaluationError        5   the user's way to judge a network failed
    ├── ArtifactError              6   a file of weights, a plan or a saved result does not fit or is damaged
    ├── ExportError                7   the network cannot be written in another format
    ├── ResourceError              8   the disk is full or read-only, or memory is short
    ├── RunInUse                   9   another process works in the run directory
    └── VerificationError          1   the pruned network is not what the plan promised (a fault of gnnrl)

The number is the exit code of the command line. A message names the layer, key or file, what was found and
what to do about it.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class GnnrlError(Exception):
    """Every error that gnnrl raises on purpose."""

    exit_code = 1


class ConfigError(GnnrlError, ValueError):
    """A setting, limit, pattern or argument is wrong."""

    exit_code = 2


class InputsError(ConfigError):
    """The network does not run on its example inputs.

    Attributes:
        found: what happened, without what to do about it: a command line has other words for that.
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
    """The network was analysed, but no channel of it may be removed."""


class UnreachableConstraint(GnnrlError):
    """No plan within the rules meets the limit."""

    exit_code = 4


class DataError(GnnrlError):
    """Images, labels or a loader are unusable."""

    exit_code = 5


class EvaluationError(DataError):
    """The user's way to judge a network failed or returned something that is not a finite number."""


class ArtifactError(GnnrlError):
    """A file of weights, a plan or a saved result does not fit or is damaged."""

    exit_code = 6


class ExportError(GnnrlError):
    """The network cannot be written in another format, or computes something else there."""

    exit_code = 7


class ResourceError(GnnrlError):
    """The disk is full or read-only, or memory is short; what was saved before is intact."""

    exit_code = 8


class RunInUse(GnnrlError):
    """Another process works in the run directory."""

    exit_code = 9


class VerificationError(GnnrlError):
    """The pruned network is not what the plan promised: a fault of gnnrl, worth a report."""


class GnnrlWarning(UserWarning):
    """What the user should look at, though the work goes on."""


class RunWarning(GnnrlWarning):
    """A run was mended, or may differ from what it would have been; nothing needs to be done."""


def first_line(error: Exception) -> str:
    """What an error says that matters: its first line that says something."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("Constraints violated")]
    return (told or lines or [type(error).__name__])[0][:300].rstrip(".")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was short, of the machine or of a GPU."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )


def wants_contiguous(error: RuntimeError) -> bool:
    """Whether a network failed because it views (`x.view(n, -1)`) what is not contiguous: channels-last images."""
    return "view size is not compatible" in str(error)


def question(name: str, known: Iterable[str], most: int = 1) -> str:
    """The question for the name that was meant, such as "did you mean conv1 or conv2?"; nothing where none is near."""
    *others, last = ["", *get_close_matches(name, list(known), n=most, cutoff=0.6 if most == 1 else 0.5)]
    near = " or ".join(filter(None, [", ".join(others[1:]), last]))
    return f"did you mean {near}?" if near else ""


def choices(name: str, known: Iterable[str]) -> str:
    """The question for the name that was meant, where one is near, and all that there are."""
    names = list(known)
    hint = question(name, names)
    return f"{hint} There are {', '.join(names)}" if hint else f"there are {', '.join(names)}"


def explained(error: BaseException, message: str | None = None) -> str:
    """Return an error's message, or another one in its place, and the notes that were added to it on its way."""
    return "\n".join([str(error) if message is None else message, *getattr(error, "__notes__", ())])
