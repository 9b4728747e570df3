"""The description of a spec's data, as `jsonnx data` shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...core.diagnostics import Diagnostic
from ..samples.left_out import WindowCounts
from .column_statistics import ColumnStatistics
from .data_leaks import Duplicates, Leak


@dataclass(frozen=True)
class DescribedColumn:
    """The statistics of a column of a file, and what the spec uses it for."""

    statistics: ColumnStatistics
    roles: tuple[str, ...]
    """Such as `input size`, `target species` or `split.group`; empty for the class of a folder that nothing names."""


@dataclass(frozen=True)
class DescribedPart:
    """A part of the data as its files have it, before samples are split off."""

    files: tuple[str, ...]
    row_count: int
    columns: tuple[DescribedColumn, ...]
    unreadable: Mapping[str, str]
    """Why columns cannot be described, by name."""
    unused: tuple[str, ...] = ()
    """Columns that the spec does not use, which are not read."""


@dataclass(frozen=True)
class BatchArray:
    """An array of the first batch of training samples."""

    name: str
    """The name of the graph's input."""
    kind: str
    """`input`, `target` or `sample weight`."""
    dtype: str
    shape: tuple[int, ...]
    min: float | None
    max: float | None
    first_values: tuple[Any, ...]
    """The first values of the first sample."""


@dataclass
class DataDescription:
    """The description of a spec's data."""

    parts: dict[str, DescribedPart] = field(default_factory=dict)
    sample_counts: Mapping[str, int] = field(default_factory=dict)
    window_counts: Mapping[str, WindowCounts] = field(default_factory=dict)
    """The windows that are left out of the samples, by part, if samples are windows."""
    class_counts: Mapping[str, Mapping[str, Mapping[int, int]]] = field(default_factory=dict)
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    duplicates: Duplicates | None = None
    leaks: list[Leak] = field(default_factory=list)
    batch: list[BatchArray] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)

    @property
    def has_unreadable_data(self) -> bool:
        return any(item.code == "unreadable-file" and item.severity == "error" for item in self.diagnostics)
