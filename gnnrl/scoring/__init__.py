"""Scores of plans: measures of a network, accuracy of each class, and the evaluation of one plan."""
