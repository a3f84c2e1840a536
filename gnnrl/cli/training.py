"""Fine-tuning as the command line asks for it, alone and as a part of a compression."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from gnnrl.cli.command import Outcome
from gnnrl.cli.console import say
from gnnrl.cli.inputs import Source
from gnnrl.cli.options import DataOption, DeviceOption, ForceOption, SeedOption, ThreadsOption, option, tuning
from gnnrl.report.names import is_worse, plural

if TYPE_CHECKING:
    from gnnrl.training import Precision

Augmentation = Literal["none", "crop", "flip-crop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The settings of fine-tuning; each field is an option."""

    finetune_epochs: Annotated[int, tuning("Passes over the training images; 0 for none.", min=0)] = 3
    learning_rate: Annotated[float, tuning("Highest rate of the one-cycle schedule (SGD).", min=1e-8, max=100)] = 0.03
    batch_size: Annotated[int, tuning("Training images in a step.", min=2)] = 128
    augment: Annotated[Augmentation, tuning("Shift images at random (crop), and mirror them (flip).")] = "crop"
    label_smoothing: Annotated[float, tuning("Share of a label spread over all classes.", min=0, max=0.99)] = 0.0
    distill: Annotated[
        float, tuning("Weight of the dense network's outputs, against the labels; 0 for none.", min=0, max=1)
    ] = 0.0
    temperature: Annotated[float, tuning("Temperature of these outputs.", min=0.1, max=100)] = 4.0
    ema: Annotated[float, tuning("Decay of an average of the weights (0.999); 0 for none.", min=0, max=0.99999)] = 0.0
    patience: Annotated[
        int, tuning("Stop after this many epochs without gain on the reward images; 0 for never.", min=0)
    ] = 0
    precision: Annotated[
        Literal["float32", "bfloat16", "auto"],
        option("Of rewards and fine-tuning. bfloat16 is often twice as fast; auto uses it where it is supported."),
    ] = "float32"
    seed: SeedOption = 0
    device: DeviceOption = "cpu"
    threads: ThreadsOption = None

    def asked(self) -> Mapping[str, Any]:
        """Return the settings by their names, without those of a job that is more than a training."""
        return {each.name: getattr(self, each.name) for each in fields(Training)}

    def exact_precision(self) -> "Precision":
        """Return bfloat16 for "auto" if the machine computes in it, and only then."""
        import torch

        if self.precision != "auto":
            return self.precision
        if torch.device(self.device).type == "cuda":
            return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
        abilities = torch.cpu.get_capabilities()
        return "bfloat16" if abilities.get("avx512_bf16") or abilities.get("amx_bf16") else "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning(Training):
    """The settings of `gnnrl finetune`; each field is an option."""

    source: Source
    data: DataOption
    result: Path
    out: Path
    force: ForceOption = False
    finetune_epochs: Annotated[int, tuning("Passes over the training images.", "--epochs", min=1)] = 10


@dataclass(frozen=True, slots=True)
class Tuned(Outcome):
    """A saved result after further training: its top-1 `before` and `finetuned`."""

    score: dict[str, float]
    epochs: int
    diverged: bool
    stopped: bool
    test_images: int
    out: str

    def show(self) -> None:
        """Print both scores, and advice if the new one is worse."""
        before, after = self.score["before"], self.score["finetuned"]
        text = (
            f"{self.out}: top-1 {after:.2%} on {self.test_images:,} test images, {before:.2%} before "
            f"{plural(self.epochs, 'epoch')}"
        )
        if is_worse(before, after, self.test_images):
            text += "; it is worse: keep the previous result, or use a smaller --learning-rate"
        say(text)
