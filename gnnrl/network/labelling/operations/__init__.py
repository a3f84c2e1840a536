"""Rules of operations: each maps labels of the inputs to labels of the outputs, and states the MACs."""
