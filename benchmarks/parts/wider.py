"""Training of further networks: milliseconds per step."""

from __future__ import annotations

from collections.abc import Iterator

from ..contest import Result
from ..options import Options
from ..workloads import WIDER
from .train import contests, page, tables

__all__ = ["ABOUT", "measure", "page", "tables"]

ABOUT = "milliseconds per training step of further networks, compared with the peers"


def measure(options: Options) -> Iterator[tuple[str, Result]]:
    return contests(WIDER.values(), options)
