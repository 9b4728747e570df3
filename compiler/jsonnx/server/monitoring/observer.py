"""What a server tells about the requests to one version of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

Feeds = Mapping[str, np.ndarray]
"""Arrays by the names of inputs or outputs, with an axis of rows first."""


class Observer(Protocol):
    """Counts and measures the requests to one version of a model."""

    def executed(self, rows: int, compute_s: float) -> None:
        """Called after a run of the session."""

    def answered(self, rows: int, queue_s: float, compute_s: float) -> None:
        """Called for a request that got its outputs."""

    def failed(self, code: str) -> None:
        """Called for a request that failed."""

    def predicted(self, feeds: Feeds, outputs: Feeds) -> None:
        """Called with what a request gave, and what it got."""


class NoObserver:
    """Ignores everything."""

    def executed(self, rows: int, compute_s: float) -> None: ...

    def answered(self, rows: int, queue_s: float, compute_s: float) -> None: ...

    def failed(self, code: str) -> None: ...

    def predicted(self, feeds: Feeds, outputs: Feeds) -> None: ...
