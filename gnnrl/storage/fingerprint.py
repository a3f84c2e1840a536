"""The fingerprint of a network, which changes with every bit of its weights."""

import hashlib

import torch
from torch import nn


def digest_of(model: nn.Module) -> str:
    """Return the SHA-256 of all parameters and buffers, with their names, types and shapes."""
    found = hashlib.sha256()
    for name, tensor in model.state_dict(keep_vars=True).items():
        value = tensor.detach().cpu().contiguous()
        found.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
