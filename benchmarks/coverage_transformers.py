"""Networks of transformers, small: published ratios of widths, 2 to 4 layers, hidden sizes of at most 512.

Each entry of `CONFIGS` is the class of the network and its settings; what stands in no setting is the published one.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import transformers
from coverage_inputs import WORDS, ids, named, note, pictures
from coverage_rows import Subject
from torch import Tensor

_TEXT = {"vocab_size": WORDS, "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}
_TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
_ENCODER = {**_TEXT, "intermediate_size": 1024}
_DECODER = {**_TEXT, "intermediate_size": 704, "num_key_value_heads": 2}
_EXPERTS = {**_DECODER, "intermediate_size": 448, "num_experts_per_tok": 2}
_IMAGE = {"hidden_size": 192, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 768}
_SPEECH = {"hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 1024}
_PAIR = {"d_model": 256, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4}
_PAIR |= {"decoder_attention_heads": 4, "encoder_ffn_dim": 1024, "decoder_ffn_dim": 1024, "vocab_size": WORDS}
_FEW = {"hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 2, "num_attention_heads": 3}
_MAMBA = {"vocab_size": WORDS, "hidden_size": 256, "num_hidden_layers": 2, "state_size": 16}
_DETR = {"d_model": 256, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 8, "num_queries": 20}
_DETR |= {"decoder_attention_heads": 8, "encoder_ffn_dim": 1024, "decoder_ffn_dim": 1024}
_RT = {"encoder_layers": 1, "decoder_layers": 2, "num_queries": 30, "num_denoising": 0}
_SWIN = {"embed_dim": 48, "depths": [2, 2, 2], "num_heads": [2, 4, 8]}
_RESNET = {"embedding_size": 32, "hidden_sizes": [64, 128, 256, 512], "depths": [1, 1, 1, 1], "layer_type": "basic"}
_RT_RESNET = {**_RESNET, "embedding_size": 64, "depths": [2, 2, 2, 2]}
_SAM = {"hidden_size": 192, "num_hidden_layers": 2, "num_attention_heads": 3, "image_size": 256, "output_channels": 128}
_SAM |= {"global_attn_indexes": [1], "window_size": 7, "mlp_dim": 768, "num_pos_feats": 64}
LANGUAGE = {
    "gpt2": ("GPT2LMHeadModel", {"vocab_size": WORDS, "n_embd": 256, "n_layer": 2, "n_head": 4}),
    "llama": ("LlamaForCausalLM", _DECODER),
    "qwen2": ("Qwen2ForCausalLM", _DECODER),
    "qwen3": ("Qwen3ForCausalLM", {**_DECODER, "head_dim": 64}),
    "mistral": ("MistralForCausalLM", _DECODER),
    "gemma2": ("Gemma2ForCausalLM", {**_DECODER, "head_dim": 64, "query_pre_attn_scalar": 64}),
    "phi3": ("Phi3ForCausalLM", {**_DECODER, "pad_token_id": 0}),
    "mixtral": ("MixtralForCausalLM", {**_EXPERTS, "num_local_experts": 4}),
    "qwen3_moe": ("Qwen3MoeForCausalLM", {**_EXPERTS, "num_experts": 4, "moe_intermediate_size": 192, "head_dim": 64}),
    "mamba": ("MambaForCausalLM", _MAMBA),
}
ENCODERS = {
    "bert": ("BertForMaskedLM", _ENCODER),
    "roberta": ("RobertaForMaskedLM", _ENCODER),
    "albert": ("AlbertForMaskedLM", {**_ENCODER, "embedding_size": 64}),
    "electra": ("ElectraForMaskedLM", {**_ENCODER, "embedding_size": 64}),
    "deberta-v2": (
        "DebertaV2ForMaskedLM",
        {**_ENCODER, "relative_attention": True, "position_buckets": 32, "pos_att_type": ["p2c", "c2p"]},
    ),
    "modernbert": ("ModernBertForMaskedLM", {**_TEXT, "intermediate_size": 384, "num_hidden_layers": 3, **_TOKENS}),
    "distilbert": (
        "DistilBertForMaskedLM",
        {"vocab_size": WORDS, "dim": 256, "n_layers": 2, "n_heads": 4, "hidden_dim": 1024},
    ),
}
PAIRS = {
    "t5": (
        "T5ForConditionalGeneration",
        {
            "vocab_size": WORDS,
            "d_model": 256,
            "d_kv": 64,
            "d_ff": 1024,
            "num_layers": 2,
            "num_heads": 4,
            "decoder_start_token_id": 0,
        },
    ),
    "bart": ("BartForConditionalGeneration", _PAIR),
}
IMAGES = {
    "vit": ("ViTForImageClassification", _IMAGE, 224, 0),
    "deit": ("DeiTForImageClassification", _IMAGE, 224, 0),
    "swin": ("SwinForImageClassification", {**_SWIN, "depths": [2, 2, 2], "image_size": 112}, 112, 0),
    "dinov2": ("Dinov2WithRegistersForImageClassification", {**_IMAGE, "mlp_ratio": 4, "image_size": 224}, 224, 280),
    "dinov3": ("DINOv3ViTModel", {**_IMAGE, "num_register_tokens": 4}, 224, 256),
    "segformer": (
        "SegformerForSemanticSegmentation",
        {"hidden_sizes": [32, 64, 160, 256], "depths": [1, 1, 1, 1], "decoder_hidden_size": 256},
        128,
        192,
    ),
    "detr": (
        "DetrForObjectDetection",
        {**_DETR, "use_timm_backbone": False, "use_pretrained_backbone": False},
        128,
        160,
    ),
    "rt_detr": ("RTDetrForObjectDetection", _RT, 128, 160),
    "sam": ("SamModel", {}, 256, 0),
    "mask2former": (
        "Mask2FormerForUniversalSegmentation",
        {"encoder_layers": 1, "decoder_layers": 3, "num_queries": 20, "hidden_dim": 128, "feature_size": 128},
        128,
        160,
    ),
}
COUNTED: dict[str, Any] = {
    "detr": ["logits", "pred_boxes"],
    "rt_detr": ["logits", "pred_boxes"],
    "dinov3": ["pooler_output"],
    "sam": ["iou_scores", "pred_masks"],
    "mask2former": ["class_queries_logits", "masks_queries_logits"],
}


def names() -> list[str]:
    """Return all rows, in the order of the table."""
    return [*ENCODERS, *LANGUAGE, *PAIRS, "whisper", *IMAGES, "clip", "siglip", "wav2vec2", "llava", "peft"]


def build(name: str) -> Subject:
    """Build a network with random weights."""
    if name in ENCODERS or name in LANGUAGE:
        return _text(*(ENCODERS.get(name) or LANGUAGE[name]), prompted=name in LANGUAGE)
    if name in PAIRS:
        return _pair(*PAIRS[name])
    if name in IMAGES:
        return _pictures(name, *IMAGES[name])
    return _OTHERS[name]()


def network(kind: str, settings: dict[str, Any]) -> Any:
    """Build a network by the name of its class and the settings of its configuration."""
    cls = getattr(transformers, kind)
    return cls(cls.config_class(**settings)).eval()


def _text(kind: str, settings: dict[str, Any], *, prompted: bool) -> Subject:
    prompt = {"input_ids": ids(5, 1, False)} if prompted else None
    return Subject(
        network(kind, settings), named(input_ids=ids), outputs=["logits"], prompt=prompt, note=note(kind, settings)
    )


def _pair(kind: str, settings: dict[str, Any]) -> Subject:
    sample = named(input_ids=ids, decoder_input_ids=partial(ids, length=12))
    model = network(kind, settings)
    return Subject(model, sample, outputs=["logits"], prompt={"input_ids": ids(5, 1, False)}, note=note(kind, settings))


def _pictures(name: str, kind: str, settings: dict[str, Any], side: int, larger: int) -> Subject:
    if name == "rt_detr":
        settings = {**settings, "backbone_config": transformers.RTDetrResNetConfig(**_RT_RESNET, out_features=_STAGES)}
        settings |= {"encoder_in_channels": [128, 256, 512]}
    elif name == "detr":
        resnet = transformers.ResNetConfig(**{**_RESNET, "layer_type": "bottleneck"}, out_features=["stage4"])
        settings = {**settings, "backbone_config": resnet}
    elif name == "mask2former":
        swin = transformers.SwinConfig(
            embed_dim=48, depths=[2, 2, 2, 2], num_heads=[2, 4, 8, 16], out_features=["stage1", *_STAGES]
        )
        settings = {**settings, "backbone_config": swin}
    elif name == "sam":
        mask = {"hidden_size": 128, "iou_head_hidden_dim": 128, "mlp_dim": 512}
        prompt = {"hidden_size": 128, "image_size": 256, "image_embedding_size": 16}
        settings = {"vision_config": _SAM, "mask_decoder_config": mask, "prompt_encoder_config": prompt}
    sample = named(pixel_values=partial(pictures, side=side, larger=larger))
    if name == "sam":
        sample = named(pixel_values=partial(pictures, side=side), input_points=_points)
    shown = {key: value for key, value in settings.items() if key != "backbone_config"}
    outputs = COUNTED.get(name, ["logits"])
    return Subject(network(kind, settings), sample, bool(larger), outputs, note=note(kind, shown))


_STAGES = ["stage2", "stage3", "stage4"]


def _points(seed: int, batch: int, longer: bool) -> Tensor:
    return torch.rand(batch, 1, 2, 2, generator=torch.Generator().manual_seed(seed)) * 200


def _whisper() -> Subject:
    settings = {**_PAIR, "max_source_positions": 100, "num_mel_bins": 80, "pad_token_id": 0, "bos_token_id": 1}
    settings |= {"eos_token_id": 2, "decoder_start_token_id": 1, "begin_suppress_tokens": None}

    def sound(seed: int, batch: int, longer: bool) -> Tensor:
        return torch.randn(batch, 80, 200, generator=torch.Generator().manual_seed(seed))

    sample = named(input_features=sound, decoder_input_ids=partial(ids, length=8))
    prompt = {"input_features": sound(5, 1, False)}
    kind = "WhisperForConditionalGeneration"
    model = network(kind, settings)
    return Subject(model, sample, outputs=["logits"], prompt=prompt, note=note(kind, settings))


def _two_towers(kind: str, side: int) -> Subject:
    text = {**_FEW, "vocab_size": WORDS, "eos_token_id": 2, "projection_size": 192}
    settings = {"text_config": text, "vision_config": {**_FEW, "image_size": side}}
    sample = named(input_ids=ids, pixel_values=partial(pictures, side=side))
    outputs = ["logits_per_image", "logits_per_text"]
    return Subject(network(kind, settings), sample, True, outputs, note=note(kind, settings))


def _wav2vec2() -> Subject:
    settings = {**_SPEECH, "vocab_size": 32, "conv_dim": [128] * 7, "num_conv_pos_embeddings": 16}

    def sound(seed: int, batch: int, longer: bool) -> Tensor:
        return torch.randn(batch, 8000 + 3000 * longer, generator=torch.Generator().manual_seed(seed))

    kind = "Wav2Vec2ForCTC"
    return Subject(network(kind, settings), named(input_values=sound), outputs=["logits"], note=note(kind, settings))


def _llava() -> Subject:
    text = {**_DECODER, "model_type": "llama"}
    vision = {**_FEW, "model_type": "clip_vision_model", "image_size": 56, "patch_size": 14}
    settings = {"text_config": text, "vision_config": vision, "image_token_id": 3, "vision_feature_layer": -1}

    def words(seed: int, batch: int, longer: bool) -> Tensor:
        return torch.cat([torch.full((batch, 16), 3), ids(seed, batch, longer)], 1)

    sample = named(input_ids=words, pixel_values=partial(pictures, side=56))
    kind = "LlavaForConditionalGeneration"
    prompt = {"input_ids": words(5, 1, False), "pixel_values": pictures(5, 1, False, side=56)}
    return Subject(network(kind, settings), sample, outputs=["logits"], prompt=prompt, note=note(kind, settings))


def _peft() -> Subject:
    import peft

    base = _text(*LANGUAGE["llama"], prompted=True)
    adapted = peft.get_peft_model(base.model, peft.LoraConfig(r=8, target_modules=["q_proj", "v_proj", "up_proj"]))
    return Subject(
        adapted.eval(), base.sample, outputs=["logits"], prompt=base.prompt, note=f"LoRA of rank 8 on {base.note}"
    )


_OTHERS: dict[str, Callable[[], Subject]] = {
    "whisper": _whisper,
    "clip": lambda: _two_towers("CLIPModel", 64),
    "siglip": lambda: _two_towers("SiglipModel", 64),
    "wav2vec2": _wav2vec2,
    "llava": _llava,
    "peft": _peft,
}
