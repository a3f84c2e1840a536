"""The networks of the benchmarks: builders of torchvision and timm, by name, with random weights."""

import torch
from torch import nn

SEGMENTATION = (
    "deeplabv3_mobilenet_v3_large",
    "deeplabv3_resnet50",
    "deeplabv3_resnet101",
    "fcn_resnet50",
    "fcn_resnet101",
    "lraspp_mobilenet_v3_large",
)
BACKBONES = ("resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_large")
VIDEO = {"r3d_18": 112, "mc3_18": 112, "r2plus1d_18": 112, "s3d": 224, "mvit_v2_s": 224, "swin3d_t": 112}
SIBLINGS = {"regnet_y_128gf": "regnet_y_32gf", "vit_h_14": "vit_l_16", "mvit_v1_b": "mvit_v2_s", "swin3d_b": "swin3d_t"}
"""Builders that do not fit into the memory of a process, or not into its time, and who stands for them."""
TIMM = [
    "cait_xxs24_224",
    "coat_tiny",
    "convmixer_768_32",
    "convnextv2_atto",
    "crossvit_tiny_240",
    "cspresnet50",
    "deit_tiny_patch16_224",
    "dla34",
    "dpn48b",
    "eca_resnext26ts",
    "edgenext_xx_small",
    "efficientformer_l1",
    "efficientnet_lite0",
    "fastvit_t8",
    "gcresnet33ts",
    "ghostnet_100",
    "gmlp_ti16_224",
    "hardcorenas_a",
    "hrnet_w18_small",
    "lcnet_050",
    "levit_128s",
    "mixer_s32_224",
    "mobilenetv4_conv_small",
    "mobileone_s0",
    "mobilevit_xxs",
    "nf_resnet50",
    "pit_ti_224",
    "poolformer_s12",
    "pvt_v2_b0",
    "regnetx_002",
    "repvgg_a0",
    "res2net50_26w_4s",
    "resmlp_12_224",
    "resnest14d",
    "selecsls42",
    "semnasnet_075",
    "tf_efficientnet_b0",
    "tinynet_e",
    "twins_svt_small",
    "visformer_tiny",
]
_OTHER = ("fasterrcnn", "fcos", "keypointrcnn", "maskrcnn", "retinanet", "ssd", "raft", "quantized", "fcn", "deeplab")
_VIDEO = ("r3d", "mc3", "r2plus1d", "s3d", "mvit", "swin3d", "lraspp")


def names() -> list[str]:
    """All networks of the benchmark."""
    from torchvision.models import list_models

    classifiers = [f"torchvision:{name}" for name in list_models() if "." not in name and not name.startswith(_OTHER)]
    kept = [name for name in classifiers if not any(part in name for part in (*_VIDEO, *SIBLINGS))]
    others = {"segmentation": SEGMENTATION, "backbone": BACKBONES, "video": VIDEO, "timm": TIMM}
    return [*kept, *(f"{library}:{name}" for library, group in others.items() for name in group)]


def build(name: str) -> tuple[nn.Module, torch.Tensor]:
    """A network with random weights from a fixed seed, in evaluation mode, and one input."""
    torch.manual_seed(0)
    library, _, model = name.partition(":")
    if library == "timm":
        import timm

        network = timm.create_model(model)
        return network.eval(), torch.randn(1, *network.default_cfg["input_size"])
    import torchvision

    if library == "segmentation":
        builder = getattr(torchvision.models.segmentation, model)
        return builder(weights=None, weights_backbone=None).eval(), torch.randn(1, 3, 224, 224)
    if library == "backbone":
        return _backbone(model).eval(), torch.randn(1, 3, 224, 224)
    if library == "video":
        frames, side = 16, VIDEO[model]
        return torchvision.models.get_model(model, weights=None).eval(), torch.randn(1, 3, frames, side, side)
    extra = {"init_weights": False} if model in ("googlenet", "inception_v3") else {}
    side = 299 if model == "inception_v3" else 224
    return torchvision.models.get_model(model, weights=None, **extra).eval(), torch.randn(1, 3, side, side)


def _backbone(name: str) -> nn.Module:
    """A feature pyramid as torchvision's detectors have it."""
    from torchvision.models.detection import backbone_utils

    if name.startswith("mobilenet"):
        return backbone_utils.mobilenet_backbone(backbone_name=name, weights=None, fpn=True)
    return backbone_utils.resnet_fpn_backbone(backbone_name=name, weights=None)
