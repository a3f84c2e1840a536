"""The network as data: operations, channels, groups, costs. Independent of pruning and learning."""
