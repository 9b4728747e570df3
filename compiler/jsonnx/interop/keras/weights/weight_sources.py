"""The arrays of a file that belong to the weights of a network."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class WeightSources:
    """Arrays by weight name with their paths in the file, and the paths of all other arrays."""

    arrays: dict[str, tuple[str, np.ndarray]] = field(default_factory=dict)
    mismatches: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By weight name: the path, and the reason as the end of a sentence."""
    unexpected_paths: list[str] = field(default_factory=list)
    unused_paths: list[str] = field(default_factory=list)
    """Arrays of layers that contribute to no output."""
    ignored_paths: list[str] = field(default_factory=list)
    """Arrays that are not weights, such as the states of random generators."""
    notices: list[str] = field(default_factory=list)
