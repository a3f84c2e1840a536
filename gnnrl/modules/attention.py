"""torch's multi-head attention with fewer heads than its width implies.

`nn.MultiheadAttention` computes the width of a head as `embed_dim // num_heads`. So it can lose a head only if its
inputs lose the same number of channels. Here heads and inputs are independent: I = num_heads * head_dim.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function


class NarrowMultiheadAttention(nn.MultiheadAttention):
    """`nn.MultiheadAttention` that reads its number of heads from its weights. Parameters and results are the same.

    in_proj_weight [3 I, E] or q_proj_weight [I, E], k_proj_weight [I, kdim] and v_proj_weight [I, vdim]; in_proj_bias
    [3 I], bias_k and bias_v [1, 1, I], out_proj.weight [E, I]. `update` gives this class to an attention that lost
    heads and channels in different proportions.
    """

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend as `nn.MultiheadAttention.forward` does, with the same arguments, shapes and results.

        A `TorchFunctionMode` sees one call, as it does for `F.multi_head_attention_forward`.
        """
        rest: tuple[Any, ...] = (key_padding_mask, need_weights, attn_mask, average_attn_weights, is_causal)
        if has_torch_function(tensors := (query, key, value)):
            found: tuple[Tensor, Tensor | None] = handle_torch_function(
                NarrowMultiheadAttention.forward, tensors, self, *tensors, *rest
            )
            return found
        return self.compute(query, key, value, *rest)

    def compute(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None,
        need_weights: bool,
        attn_mask: Tensor | None,
        average_attn_weights: bool,
        is_causal: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Compute `forward`. A `TorchFunctionMode` sees the projections and the attention of the heads."""
        if is_causal and attn_mask is None:
            raise RuntimeError("is_causal is a hint about attn_mask, give attn_mask too")
        batch = 0 if self.batch_first else 1
        batched = query.dim() == 3
        if not batched:
            query, key, value = (tensor.unsqueeze(batch) for tensor in (query, key, value))
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        q, k, v = self.project(query, key, value)
        if not self.batch_first:
            q, k, v = (tensor.transpose(0, 1) for tensor in (q, k, v))
        if self.bias_k is not None and self.bias_v is not None:
            k, v = (torch.cat([x, b.expand(len(x), -1, -1)], 1) for x, b in ((k, self.bias_k), (v, self.bias_v)))
        q, k, v = (x.reshape(*x.shape[:2], -1, self.head_dim).transpose(1, 2) for x in (q, k, v))
        if self.add_zero_attn:
            k, v = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1))
        y, weights = self.attend(q, k, v, _mask(q, k, attn_mask, key_padding_mask), need_weights)
        output = self.out_proj(y.transpose(1, 2).flatten(2))
        output = output if self.batch_first else output.transpose(0, 1)
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            output, weights = output.squeeze(batch), None if weights is None else weights.squeeze(0)
        return output, weights

    def project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values [..., I] of tensors [..., E], [..., kdim] and [..., vdim]."""
        biases = (None, None, None) if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        weights: tuple[Tensor, ...]
        if self._parameters["in_proj_weight"] is None:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        elif query is key and key is value:
            q, k, v = F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
            return q, k, v
        else:
            weights = self.in_proj_weight.chunk(3)
        q, k, v = (F.linear(*entry) for entry in zip((query, key, value), weights, biases, strict=True))
        return q, k, v

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return the result of every head [N, H, T, D], and the weights [N, H, T, S] if they are needed."""
        dropout = self.dropout if self.training else 0.0
        if not need_weights:
            return F.scaled_dot_product_attention(query, key, value, mask, dropout), None
        scores = (query * math.sqrt(1.0 / self.head_dim)) @ key.transpose(-2, -1)
        weights = F.dropout((scores if mask is None else scores + mask).softmax(-1), dropout)
        return weights @ value, weights


def _mask(query: Tensor, key: Tensor, attn_mask: Tensor | None, key_padding_mask: Tensor | None) -> Tensor | None:
    """Return the mask to add to the scores [N, H, T, S]. Keys that the module adds itself are never masked."""
    found = None
    if attn_mask is not None:
        attn_mask = attn_mask.reshape(len(query), -1, *attn_mask.shape[1:]) if attn_mask.dim() == 3 else attn_mask
        found = _added(attn_mask, query, key)
    if key_padding_mask is not None:
        padding = _added(key_padding_mask[:, None, None], query, key)
        found = padding if found is None else found + padding
    return found


def _added(mask: Tensor, query: Tensor, key: Tensor) -> Tensor:
    if mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill_(mask, -math.inf)
    return F.pad(mask, (0, key.shape[-2] - mask.shape[-1]))


def update(module: nn.MultiheadAttention) -> None:
    """Update an attention's attributes from its weights. Change its class if torch's does not support these weights."""
    weights: tuple[Tensor, ...] = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
    if module._parameters["in_proj_weight"] is not None:
        weights = module.in_proj_weight.chunk(3)
    query, key, value = weights
    module.num_heads = len(query) // module.head_dim
    module.embed_dim, module.kdim, module.vdim = query.shape[1], key.shape[1], value.shape[1]
    if not len(query) == module.embed_dim == len(module.out_proj.weight):
        _narrow(module)


def _narrow(module: nn.Module) -> None:
    """Change the class of torch's own attention. A subclass keeps its class."""
    if type(module) is nn.MultiheadAttention:
        module.__class__ = NarrowMultiheadAttention
        # torch's fused kernels compute with embed_dim, and do not run if this is False
        module._qkv_same_embed_dim = False


def narrow_all(model: nn.Module) -> nn.Module:
    """Make every attention of a model a narrow one, so that copies of all widths run the same code."""
    for module in model.modules():
        _narrow(module)
    return model


@contextmanager
def narrowed(model: nn.Module) -> Iterator[None]:
    """Make every attention a narrow one inside, so that the calls of its projections can be observed."""
    found = [part for part in model.modules() if type(part) is nn.MultiheadAttention]
    same = [part._qkv_same_embed_dim for part in found]
    narrow_all(model)
    try:
        yield
    finally:
        for part, flag in zip(found, same, strict=True):
            part.__class__ = nn.MultiheadAttention
            part._qkv_same_embed_dim = flag


def update_encoder(module: nn.TransformerEncoder) -> None:
    """Keep an encoder from packing padded sequences, which only torch's fused kernels can read."""
    if any(isinstance(part, NarrowMultiheadAttention) for part in module.modules()):
        module.use_nested_tensor = False
