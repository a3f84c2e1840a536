"""How ratios are chosen: observations, encoders, policies and PPO. Knows nothing of networks or pruning."""
