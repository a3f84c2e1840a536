"""Named networks and data: what gnnrl can work on without being given anything. Knows nothing of pruning."""
