"""The problem of `tests.scoring.blobs`, for all tests of training."""

from tests.scoring.blobs import blobs, classifier

__all__ = ["blobs", "classifier"]
