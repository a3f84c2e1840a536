"""Reasons of frozen channels. Each kind has a sentence, and a remedy for the user.

Code decides by the kind; only people read the sentences. In a sentence or a remedy, `{operation}` stands for the
operation that freezes the channels, and `{detail}` for the part that differs from case to case.
"""

from dataclasses import dataclass
from enum import Enum

_FOLLOW = "let this code take its sizes from its input, or accept that these channels stay"
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
    NO_LAYER = (
        "no-layer",
        "{operation} multiplies tensors that no layer computes",
        "make its weights parameters (nn.Parameter, nn.ModuleList instead of a list), or accept that these MACs stay",
    )
    STATED_SIZE = (
        "stated-size",
        "the code states this size itself ({detail})",
        "take the size from the tensor (x.shape[1]) or from an attribute of the module",
    )
    COMPARED_SIZE = (
        "compared-size",
        "the code takes another path if this size equals another one",
        "decide by an attribute of the module instead of by shapes (self.project is not None)",
    )
    TRAINING_ONLY = (
        "training-only",
        "a part that only training runs reads these channels ({detail})",
        "remove that part before pruning, or accept that these channels stay",
    )
    SEVERAL_USES = (
        "several-uses",
        "{detail} is used in several ways, in one with a fixed size",
        "give each use its own parameter",
    )
    UNEQUAL_PARTS = (
        "unequal-parts",
        "{operation} cuts channels into parts of unequal, constant sizes",
        "cut into equal parts (chunk), or give each part its own layer",
    )
    CONSTANT_POSITIONS = "constant-positions", "{operation} takes channels by constant positions", _BY_SHARES
    PUT_AT_POSITIONS = "put-at-positions", "{operation} puts elements at positions of these channels", _BY_SHARES
    SHIFTED = "shifted", "{operation} shifts channels by a constant", _FOLLOW
    PADDED = (
        "padded",
        "{operation} inserts a constant number of channels",
        "use a convolution instead of the padding (a projection shortcut)",
    )
    CROPPED = "cropped", "{operation} cuts or mirrors channels", _FOLLOW
    WORKED_ALONG = "worked-along", "{operation} works along these channels", _NEEDS_ALL
    TAKEN_OVER = "taken-over", "{operation} is taken over these channels", _NEEDS_ALL
    COUNTED = "counted", "{operation} sums these channels, and a channel of zeros changes its result", _FOLLOW
    NORMALISED_TOGETHER = "normalised-together", "normalises over several dimensions at once", _NORMALISE
    NORMALISED_FIXED = "normalised-fixed", "{operation} normalises a fixed number of channels", _NORMALISE
    INSIDE_GROUPS = (
        "inside-groups",
        "{operation} can lose whole groups, but not channels inside a group",
        "nothing: channels inside a group of a grouped layer belong together",
    )
    HEAD_SCALE = (
        "head-scale",
        "attention scales by the square root of the width of a head",
        "make the scale a constant",
    )
    FIXED_HEADS = "fixed-heads", "attention has a fixed number of heads", _FOLLOW
    FIXED_MASK = "fixed-mask", "attention has a mask of fixed size", _FOLLOW
    FIXED_OPERAND = "fixed-operand", "{operation} combines these channels with a tensor of fixed size", _FOLLOW
    PLAIN_TENSOR = (
        "plain-tensor",
        "{operation} combines these channels with {detail}, a tensor that is not a parameter or buffer",
        "register it in __init__ (self.register_buffer(name, tensor, persistent=False)), so that it is cut as well",
    )
    FIXED_INPUT = (
        "fixed-input",
        "{operation} reads a fixed number of channels (the network's input, or an operation without a rule)",
        _FOLLOW,
    )
    FIXED_STATE = "fixed-state", "{operation} starts from a state of fixed size", _FOLLOW
    FIXED_KERNEL = "fixed-kernel", "{operation} has a fixed kernel", "nothing: only channels of a layer can be removed"
    FIXED_PART = "fixed-part", "{operation} concatenates a fixed number of channels", _FOLLOW
    OTHER_DIMENSIONS = "other-dimensions", "concatenates tensors that vary along other dimensions", _FOLLOW
    SEVERAL_DIMENSIONS = "several-dimensions", "{operation} needs these channels in one dimension", _FOLLOW
    REPEATED = "repeated", "repeats channels a variable number of times", _FOLLOW
    EQUATION = "equation", "has an equation with repeated letters", _FOLLOW
    PACKED = "packed", "{operation} reads packed sequences", _FOLLOW
    PROJECTED = "projected", "{operation} projects its outputs", _FOLLOW


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
