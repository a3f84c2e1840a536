"""Helpers for any `nn.Module`: copies, modes, names of layers, lines of the user's code. Independent of pruning."""
