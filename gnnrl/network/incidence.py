"""Which unit occurs how often in which array: one sparse matrix, so that nothing here grows with units times arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array


def incidence(arrays: Sequence[NDArray[np.int64]], units: int) -> csr_array:
    """Count the occurrences of each unit in each array: [units, arrays], indices ascending in every row."""
    flat = np.concatenate([np.empty(0, np.int64), *arrays])
    array = np.repeat(np.arange(len(arrays)), [len(labels) for labels in arrays])
    found = coo_array((np.ones(len(flat), np.int64), (flat, array)), shape=(units, len(arrays))).tocsr()
    found.sort_indices()
    return found


def equal_rows(matrix: csr_array) -> NDArray[np.int64]:
    """Number the rows [rows] so that equal ones, and only those, have the same number."""
    lengths = np.diff(matrix.indptr)
    row = np.repeat(np.arange(len(lengths)), lengths)
    before = np.arange(len(row)) - lengths[row]
    differing = (matrix.indices != matrix.indices[before]) | (matrix.data != matrix.data[before])
    starts = np.bincount(row[differing], minlength=len(lengths)) > 0
    starts |= np.diff(lengths, prepend=-1) != 0
    entries = np.stack([matrix.indices, matrix.data], 1)
    known: dict[bytes, int] = {}
    runs = [
        known.setdefault(entries[matrix.indptr[first] : matrix.indptr[first + 1]].tobytes(), len(known))
        for first in np.flatnonzero(starts)
    ]
    return np.array(runs, np.int64)[np.cumsum(starts) - 1] if runs else np.zeros(len(lengths), np.int64)
