"""Networks of segmentation-models-pytorch: every decoder, on ResNet-18 or the encoder that it needs."""

import segmentation_models_pytorch as smp
from coverage_inputs import noise, note
from coverage_rows import Subject

_ENCODERS = {"dpt": "tu-vit_tiny_patch16_224.augreg_in21k", "segformer": "mit_b0"}


def names() -> list[str]:
    """Return all rows, in the order of the table."""
    return list(smp.MODEL_ARCHITECTURES_MAPPING)


def build(name: str) -> Subject:
    """Build a network with random weights."""
    settings = {"encoder_name": _ENCODERS.get(name, "resnet18"), "encoder_weights": None, "classes": 4}
    if name == "dpt":
        settings |= {"dynamic_img_size": True}
    model = smp.create_model(name, **settings)
    return Subject(model.eval(), noise(3, 128, 128, longer=(3, 192, 192)), note=note(type(model).__name__, settings))
