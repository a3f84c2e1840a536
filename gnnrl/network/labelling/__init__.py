"""Labelling: the exported program is run on labels instead of activations, to find channels that belong together."""
