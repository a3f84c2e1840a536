"""Any nn.Module: copies, modes, layers, the line of the user's code. Knows nothing of groups or pruning."""
