"""What comes in: missing, unknown and distant values by column, and the drift of columns and predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from ...core.diagnostics import CompileError, UsageError
from ...data.drift.drift_counts import DriftCounts, FeatureCounts, FeatureDrift
from ...pipeline.run.data_statistics import read_data_statistics
from ..models.served_model import ServedModel
from .observer import Feeds

MAX_PENDING_ROWS = 256
"""Rows that wait to be counted: counting many at once takes a tenth of the time of counting them one by one."""
MAX_PENDING_BYTES = 1 << 22
MAX_WINDOW_ROWS = 5000
"""Rows of a window. The drift is that of the last one or two windows, so that older requests do not hide it."""


class Sample(NamedTuple):
    """A number for Prometheus."""

    name: str
    kind: str
    """`counter` or `gauge`."""
    help: str
    labels: Mapping[str, str]
    value: float
