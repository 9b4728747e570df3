"""Networks like the classic ones that nobody tuned for."""

from __future__ import annotations

from .workload import Workload

ALL: tuple[Workload, ...] = ()
