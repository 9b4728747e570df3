"""The greatest memory that this process has had."""

from __future__ import annotations

import sys
from importlib.util import find_spec

RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


def peak_memory_bytes() -> int | None:
    """The greatest resident memory of the process so far, in bytes; None on systems that do not tell it."""
    if find_spec("resource") is None:  # Windows
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT_BYTES
