"""The agent: observations, encoders, policies and PPO. Independent of networks and pruning."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # users cannot change torch_geometric's use of torch.jit
    import torch_geometric  # noqa: F401
