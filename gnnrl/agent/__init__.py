"""How ratios are chosen: observations, encoders, policies and PPO. Knows nothing of networks or pruning."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch_geometric's use of torch.jit concerns no user
    import torch_geometric  # noqa: F401
