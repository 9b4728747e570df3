"""The memory that pages of mapped files take."""

from __future__ import annotations

import mmap
from typing import Any


def release_pages(array: Any) -> None:
    """Frees the memory that pages of a file take, if the array is a view of a mapped one: they are read again when they
    are needed."""
    owner = array
    while (base := getattr(owner, "base", None)) is not None:
        owner = base
    mapping = owner.obj if isinstance(owner, memoryview) else owner
    if isinstance(mapping, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)
