"""What a network is: operations, channels, groups, size. Knows nothing of pruning or learning."""
