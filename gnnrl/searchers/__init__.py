"""Searchers: one interface, and one budget of evaluations for all."""
