"""Which channels must be removed together: one run over the exported program, on labels instead of activations."""
