"""Networks of torchaudio, with published ratios of widths."""

from collections.abc import Callable

import torch
import torchaudio.models as models
from coverage_inputs import noise
from coverage_rows import Subject
from torch import Tensor

_LAYERS = [(128, 10, 5)] + [(128, 3, 2)] * 4 + [(128, 2, 2)] * 2


def names() -> list[str]:
    """Return all rows, in the order of the table."""
    return list(_ROWS)


def build(name: str) -> Subject:
    """Build a network with random weights."""
    return _ROWS[name]()


def _convtasnet() -> Subject:
    model = models.ConvTasNet(
        enc_num_feats=256, msk_num_feats=64, msk_num_hidden_feats=256, msk_num_layers=4, msk_num_stacks=2
    )
    return Subject(model.eval(), noise(1, 4000, longer=(1, 6000)), note="half the widths, 2 stacks of 4 layers")


def _wav2vec2() -> Subject:
    model = models.wav2vec2_model(
        "group_norm", _LAYERS, False, 256, 0.0, 16, 16, 2, 4, 0.0, 1024, 0.0, 0.0, False, 0.0, aux_num_out=32
    )
    return Subject(model.eval(), noise(8000, longer=(11000,)), note="base in a third of the widths, 2 layers")


def _hdemucs() -> Subject:
    model = models.HDemucs(sources=["drums", "bass", "other", "vocals"], channels=16, nfft=1024, depth=5)
    return Subject(model.eval(), noise(2, 16384, longer=(2, 24576)), note="channels=16, nfft=1024, depth=5")


def _conformer() -> Subject:
    model = models.Conformer(
        input_dim=80, num_heads=4, ffn_dim=320, num_layers=2, depthwise_conv_kernel_size=31, use_group_norm=False
    )

    def sample(seed: int, batch: int, longer: bool) -> dict[str, Tensor]:
        length = 56 if longer else 40
        return {"input": noise(length, 80)(seed, batch, longer), "lengths": torch.full((batch,), length)}

    return Subject(_Encoder(model).eval(), sample, note="Conformer(80, 4 heads, ffn_dim=320, 2 layers) and 32 classes")


class _Encoder(torch.nn.Module):
    """An encoder between a layer that reads features and one that gives classes, as speech recognition has it."""

    def __init__(self, encoder: torch.nn.Module) -> None:
        super().__init__()
        self.read, self.encoder, self.head = torch.nn.Linear(80, 80), encoder, torch.nn.Linear(80, 32)

    def forward(self, input: Tensor, lengths: Tensor) -> Tensor:
        encoded, _ = self.encoder(self.read(input), lengths)
        classes: Tensor = self.head(encoded)
        return classes


def _deepspeech() -> Subject:
    model = models.DeepSpeech(n_feature=80, n_hidden=512, n_class=40)
    return Subject(model.eval(), noise(1, 30, 80, longer=(1, 45, 80)), note="n_hidden=512")


_ROWS: dict[str, Callable[[], Subject]] = {
    "ConvTasNet": _convtasnet,
    "wav2vec2": _wav2vec2,
    "HDemucs": _hdemucs,
    "Conformer": _conformer,
    "DeepSpeech": _deepspeech,
}
