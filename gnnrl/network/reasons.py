"""Reasons of frozen channels. Each kind has a sentence, and a remedy for the user.

Code decides by the kind; only people read the sentences. In a sentence or a remedy, `{operation}` stands for the
operation that freezes the channels, and `{detail}` for the part that differs from case to case.
"""

from dataclasses import dataclass
from enum import Enum

_FOLLOW = "let the code follow the size of its input here, or accept that these channels stay"
_NEEDS_ALL = "nothing: the operation needs all of its channels"
_NORMALISE = "normalise over channels alone (BatchNorm, LayerNorm of the last dimension)"
_BY_SHARES = "cut by shares (chunk) instead of by positions"


class Kind(Enum):
    """Kinds of reasons, by a name that does not change between versions.

    Attributes:
        text: the sentence.
        remedy: what the user can do, or that there is nothing to do.
    """

    text: str
    remedy: str

    def __new__(cls, name: str, text: str, remedy: str) -> "Kind":
        """Make the name the value."""
        kind = object.__new__(cls)
        kind._value_, kind.text, kind.remedy = name, text, remedy
        return kind

    OUTPUT = "output", "is an output of the network", "nothing: an output keeps its size"
    NO_RULE = (
        "no-rule",
        "{operation} has no rule",
        "use another operation here, or give {operation} a rule (CONTRIBUTING.md: one function)",
    )
    STATED_SIZE = (
        "stated-size",
        "the code states this size itself ({detail})",
        "take the size from the tensor (x.shape[1]) or from an attribute of the module",
    )
    TRAINING_ONLY = (
        "training-only",
        "a part that runs in training alone reads this ({detail})",
        "take that part out before pruning, or let these channels stay",
    )
    SEVERAL_USES = (
        "several-uses",
        "{detail} is used in several ways, in one with a fixed size",
        "give each use a parameter of its own",
    )
    UNEQUAL_PARTS = (
        "unequal-parts",
        "{operation} cuts channels into parts of unequal, constant sizes",
        "cut into equal parts (chunk), or give each part a layer of its own",
    )
    CONSTANT_POSITIONS = "constant-positions", "{operation} takes channels by constant positions", _BY_SHARES
    PUT_AT_POSITIONS = "put-at-positions", "{operation} puts elements at positions of these channels", _BY_SHARES
    SHIFTED = "shifted", "{operation} shifts channels by a constant", _FOLLOW
    PADDED = (
        "padded",
        "{operation} inserts a constant number of channels",
        "a convolution instead of the padding (a projection shortcut) sets these channels free",
    )
    CROPPED = "cropped", "{operation} cuts or mirrors channels", _FOLLOW
    WORKED_ALONG = "worked-along", "{operation} works along these channels", _NEEDS_ALL
    TAKEN_OVER = "taken-over", "{operation} is taken over these channels", _NEEDS_ALL
    COUNTED = "counted", "{operation} sums these channels, which count even where they are zero", _FOLLOW
    NORMALISED_TOGETHER = "normalised-together", "normalises over several dimensions at once", _NORMALISE
    NORMALISED_ALONE = "normalised-alone", "normalises each channel as a group of its own", _NORMALISE
    NORMALISED_FIXED = "normalised-fixed", "{operation} normalises channels of fixed number", _NORMALISE
    INSIDE_GROUPS = (
        "inside-groups",
        "{operation} loses whole groups, not channels inside a group",
        "nothing: channels inside a group of a grouped layer belong together",
    )
    HEAD_SCALE = (
        "head-scale",
        "attention scales by the square root of the width of a head",
        "state the scale as a constant of its own",
    )
    FIXED_HEADS = "fixed-heads", "attention has heads of fixed number", _FOLLOW
    FIXED_MASK = "fixed-mask", "attention has a mask of fixed size", _FOLLOW
    FIXED_OPERAND = "fixed-operand", "{operation} combines these channels with a tensor of fixed size", _FOLLOW
    FIXED_INPUT = (
        "fixed-input",
        "{operation} reads channels of fixed number (the network's input, or an operation without a rule)",
        _FOLLOW,
    )
    FIXED_STATE = "fixed-state", "{operation} starts from a state of fixed size", _FOLLOW
    FIXED_KERNEL = "fixed-kernel", "{operation} has a fixed kernel", "nothing: only the channels of a layer can go"
    FIXED_PART = "fixed-part", "{operation} concatenates channels of fixed number", _FOLLOW
    OTHER_DIMENSIONS = "other-dimensions", "concatenates tensors that vary along other dimensions", _FOLLOW
    SEVERAL_DIMENSIONS = "several-dimensions", "{operation} needs these channels in one dimension", _FOLLOW
    REPEATED = "repeated", "repeats channels a number of times that is not a constant", _FOLLOW
    EQUATION = "equation", "is an equation of more than two operands, or with repeated letters", _FOLLOW
    PACKED = "packed", "{operation} reads packed sequences, and keeps its widths", _FOLLOW
    PROJECTED = "projected", "{operation} projects its outputs, and keeps its widths", _FOLLOW


@dataclass(frozen=True, slots=True)
class Reason:
    """Why labels are frozen: the kind, the operation and module, and the line of the user's code."""

    kind: Kind
    operation: str = ""
    module: str = ""
    location: str = ""
    detail: str = ""

    @property
    def text(self) -> str:
        """Sentence without the location."""
        return self._filled(self.kind.text)

    @property
    def remedy(self) -> str:
        """Advice for a user who wants to free the channels."""
        return self._filled(self.kind.remedy)

    def _filled(self, sentence: str) -> str:
        return sentence.format(operation=self.operation.removeprefix("_") or "it", detail=self.detail)

    def __str__(self) -> str:
        where = [f"in {self.module}" if self.module else "", f"at {self.location}" if self.location else ""]
        return " ".join(part for part in (self.text, *where) if part)
