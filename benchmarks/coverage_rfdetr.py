"""RF-DETR Nano with random weights."""

from coverage_inputs import noise
from coverage_rows import Subject
from rfdetr import RFDETRNano


def names() -> list[str]:
    """Return all rows, in the order of the table."""
    return ["nano"]


def build(name: str) -> Subject:
    """Build a network with random weights."""
    model = RFDETRNano(pretrain_weights=None, device="cpu").model.model.eval()
    return Subject(
        model, noise(3, 384, 384), longer=False, outputs=["pred_logits", "pred_boxes"], note="RFDETRNano, no weights"
    )
