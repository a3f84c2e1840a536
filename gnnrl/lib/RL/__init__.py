"""The paper's import paths."""
