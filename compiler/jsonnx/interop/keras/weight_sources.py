"""What a file has for the weights that are wanted."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class WeightSources:
    """Arrays by our names with their paths in the file, and what else there was."""

    arrays: dict[str, tuple[str, np.ndarray]] = field(default_factory=dict)
    mismatches: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By our name: the path, and the end of a sentence that says what is wrong."""
    unexpected_paths: list[str] = field(default_factory=list)
    unused_paths: list[str] = field(default_factory=list)
    """Those of layers whose weights are not wanted."""
    ignored_paths: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
