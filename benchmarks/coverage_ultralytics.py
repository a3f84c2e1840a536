"""Networks of ultralytics, fresh from their files of settings (the smallest size), in evaluation mode."""

from coverage_inputs import noise
from coverage_rows import Subject
from ultralytics.nn.tasks import (
    DetectionModel,
    OBBModel,
    PoseModel,
    RTDETRDetectionModel,
    SegmentationModel,
)

_ROWS = {
    "v5nu": (DetectionModel, "yolov5n.yaml"),
    "v8n": (DetectionModel, "yolov8n.yaml"),
    "v8n-seg": (SegmentationModel, "yolov8n-seg.yaml"),
    "v8n-pose": (PoseModel, "yolov8n-pose.yaml"),
    "v8n-obb": (OBBModel, "yolov8n-obb.yaml"),
    "10n": (DetectionModel, "yolov10n.yaml"),
    "11n": (DetectionModel, "yolo11n.yaml"),
    "12n": (DetectionModel, "yolo12n.yaml"),
    "26n": (DetectionModel, "yolo26n.yaml"),
    "rtdetr-l": (RTDETRDetectionModel, "rtdetr-l.yaml"),
}


def names() -> list[str]:
    """Return all rows, in the order of the table."""
    return list(_ROWS)


def build(name: str) -> Subject:
    """Build a network with random weights."""
    kind, settings = _ROWS[name]
    model = kind(settings, verbose=False).eval()
    return Subject(model, noise(3, 128, 128, longer=(3, 192, 192)), outputs=[0], note=f"{kind.__name__}({settings!r})")
