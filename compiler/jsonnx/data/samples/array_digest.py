"""Hashes of named arrays: of the samples, the initial weights and the state of a training run."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from ...core.system.mapped_pages import release_pages
from .sequences import Sequences
from .stored_arrays import Samples, StoredArray

if TYPE_CHECKING:
    from hashlib import _Hash


def array_digest(arrays: Iterable[tuple[str, Samples]]) -> str:
    """The SHA-256 of the names, types, shapes and values of arrays, in their order, as hexadecimal digits."""
    digest = sha256()
    update_digest(digest, arrays)
    return digest.hexdigest()


def update_digest(digest: _Hash, arrays: Iterable[tuple[str, Samples]]) -> None:
    """Adds the names, types, shapes and values of arrays, in their order."""
    for name, array in arrays:
        if isinstance(array, Sequences):
            parts = (("steps", array.all_steps()), ("lengths", array.lengths))
            update_digest(digest, [(f"{name}/{part}", values) for part, values in parts])
            continue
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        if isinstance(array, StoredArray):
            for _, chunk in array.chunks():
                digest.update(np.ascontiguousarray(chunk).reshape(-1).view(np.uint8).data)
        elif array.dtype.hasobject:
            digest.update(repr(array.tolist()).encode())
        else:
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
            release_pages(array)
