"""Detectors of torchvision, backbone and head without the search for boxes, and RAFT."""

from collections.abc import Callable
from functools import partial
from typing import Any

from coverage_inputs import named, noise
from coverage_rows import Subject
from torch import Tensor, nn
from torchvision.models import detection, optical_flow

_SIDE = 128


class _Detector(nn.Module):
    """Backbone and dense head of a detector: what runs before boxes are chosen."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = detector.backbone, getattr(detector, "head", None) or detector.rpn.head

    def forward(self, x: Tensor) -> Any:
        return self.head(list(self.backbone(x).values()))


def _detector(make: Callable[..., nn.Module], name: str) -> Subject:
    model = _Detector(make(weights=None, weights_backbone=None))
    side = 300 if name.startswith("ssd300") else _SIDE
    return Subject(
        model.eval(), noise(3, side, side, longer=(3, side + 64, side + 64)), note=f"{name}: backbone and dense head"
    )


def _raft() -> Subject:
    inputs = named(image1=noise(3, 128, 128, longer=(3, 136, 136)), image2=noise(3, 128, 128, longer=(3, 136, 136)))

    def sample(seed: int, batch: int, longer: bool) -> dict[str, Any]:
        return {**inputs(seed, batch, longer), "num_flow_updates": 2}

    return Subject(optical_flow.raft_small(weights=None).eval(), sample, note="raft_small, 2 updates")


_DETECTORS = (
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_mobilenet_v3_large_fpn",
    "maskrcnn_resnet50_fpn",
    "keypointrcnn_resnet50_fpn",
    "retinanet_resnet50_fpn",
    "fcos_resnet50_fpn",
    "ssd300_vgg16",
    "ssdlite320_mobilenet_v3_large",
)
_ROWS: dict[str, Callable[[], Subject]] = {
    **{name: partial(_detector, getattr(detection, name), name) for name in _DETECTORS},
    "raft_small": _raft,
}


def names() -> list[str]:
    """Return all rows, in the order of the table."""
    return list(_ROWS)


def build(name: str) -> Subject:
    """Build a network with random weights."""
    return _ROWS[name]()
