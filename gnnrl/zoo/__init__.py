"""Named networks and data, weights, and batches. Independent of pruning."""
