"""The memory that pages of mapped files take."""

from __future__ import annotations

import mmap
from typing import Any


def release_pages(array: Any) -> None:
    """Frees the memory that pages of a file take, if the array is a view of one that is mapped for reading: they are
    read again when they are needed."""
    owner = array
    while (base := getattr(owner, "base", None)) is not None:
        owner = base
    mapping = owner.obj if isinstance(owner, memoryview) else owner
    if not isinstance(mapping, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED"):
        return
    with memoryview(mapping) as pages:
        if not pages.readonly:  # they may differ from the file
            return
    mapping.madvise(mmap.MADV_DONTNEED)
