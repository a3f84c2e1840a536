"""How plans are searched: one interface, one budget of reward evaluations."""
