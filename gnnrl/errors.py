"""What can go wrong, in the user's words.

    GnnrlError                     1   every error that gnnrl raises on purpose
    ├── ConfigError                2   a setting, limit, pattern or argument is wrong
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


class GnnrlError(Exception):
    """Every error that gnnrl raises on purpose."""

    exit_code = 1


class ConfigError(GnnrlError, ValueError):
    """A setting, limit, pattern or argument is wrong."""

    exit_code = 2


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


def explained(error: BaseException) -> str:
    """An error's message, and the notes that were added to it on its way."""
    return "\n".join([str(error), *getattr(error, "__notes__", ())])
