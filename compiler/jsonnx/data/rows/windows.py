"""Samples that are windows of consecutive rows of time series, taken from the rows batch by batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ...core.reserved_names import sample_weight_name, target_name
from ...core.types import TensorType
from ...sections.columns import AssignedColumns
from ...sections.split_errors import takes_all_steps
from ...sections.split_section import WindowsSection
from ..samples.array_digest import array_digest
from ..samples.data_spec import DataSpec
from ..samples.dataset import Dataset
from ..samples.left_out import WindowCounts
from ..samples.stored_arrays import rows_of


@dataclass(frozen=True, eq=False, kw_only=True)
class WindowedDataset(Dataset):
    """Windows of rows. `inputs` and `targets` have one entry for each row, in the order of the series and their times.

    A window is copied from them when its batch is taken, so that overlapping windows take no memory.
    """

    windows: WindowsSection
    starts: np.ndarray
    """The index of the first row of each window."""
    all_steps: frozenset[str]
    """The outputs whose targets have the values of all steps up to the horizon."""
    counts: WindowCounts
    series: np.ndarray
    """The number of each row's series, never decreasing."""
    series_names: Sequence[str]
    follows_gap: np.ndarray
    """Whether the row before is not one step earlier."""
    lacks_target: np.ndarray
    """Whether a row lacks a value of a target, or fills a gap: its targets are those of another row."""

    def __len__(self) -> int:
        return len(self.starts)

    def subset(self, rows: slice | np.ndarray) -> WindowedDataset:
        return replace(self, starts=self.starts[rows])

    def samples_of(self, name: str, rows: np.ndarray | slice) -> np.ndarray:
        starts, length, horizon = self.starts[rows], self.windows.length, self.windows.horizon
        array = self._feeds[name]
        if name in self.inputs:
            return rows_of(array, starts[:, None] + np.arange(*self.windows.rows_of_input(name)))
        if name in self._stepwise:
            return rows_of(array, starts[:, None] + np.arange(length, length + horizon))
        return rows_of(array, starts + (length - 1 + horizon))

    def sample_shape(self, name: str) -> tuple[int, ...]:
        row_shape = super().sample_shape(name)
        if name in self.inputs:
            first, end = self.windows.rows_of_input(name)
            return (end - first, *row_shape)
        return (self.windows.horizon, *row_shape) if name in self._stepwise else row_shape

    @cached_property
    def _stepwise(self) -> frozenset[str]:
        """The targets, and the weights of their steps, that have the values of all steps up to the horizon."""
        weights = self.data_spec.sample_weights
        weighted = [output for output in self.all_steps if output in weights and weights[output].rank > 1]
        return frozenset([*map(target_name, self.all_steps), *map(sample_weight_name, weighted)])

    @cached_property
    def _weight_feeds(self) -> dict[str, np.ndarray]:
        return Dataset(self.inputs, self.targets, row_spec(self.data_spec, self.all_steps), self.weights)._weight_feeds

    def target_rows(self, output: str) -> np.ndarray | None:
        """The target's last step of each window: all steps would be a multiple of the rows."""
        array = self.targets.get(output)
        return None if array is None else rows_of(array, self.starts + (self.windows.length - 1 + self.windows.horizon))

    def copy_into(self, buffers: Mapping[str, np.ndarray], rows: np.ndarray | slice) -> None:
        for name, buffer in buffers.items():
            buffer[...] = self.samples_of(name, rows)

    @cached_property
    def digest(self) -> str:
        shape = np.array([self.windows.length, self.windows.horizon])
        arrays = [*self.inputs.items(), *self.targets.items(), ("starts", self.starts), ("windows", shape)]
        if self.windows.future_inputs:
            arrays.append(("future", np.array(sorted(self.windows.future_inputs), object)))
        return array_digest(arrays)


def all_step_targets(
    data_spec: DataSpec, windows: WindowsSection, columns: Mapping[str, AssignedColumns]
) -> frozenset[str]:
    """The outputs whose targets have the values of all steps up to the horizon."""
    targets = data_spec.targets.items()
    return frozenset(
        name for name, type in targets if name in columns and takes_all_steps(type, windows, len(columns[name].names))
    )


def row_spec(data_spec: DataSpec, all_steps: Collection[str]) -> DataSpec:
    """The data of a single row: the types of inputs and targets without the axis of the steps."""
    inputs = {name: _row_type(type) for name, type in data_spec.inputs.items()}
    targets = {name: _row_type(type) if name in all_steps else type for name, type in data_spec.targets.items()}
    weights = {
        name: _row_type(type) if name in all_steps and type.rank > 1 else type
        for name, type in data_spec.sample_weights.items()
    }
    return replace(data_spec, inputs=inputs, targets=targets, sample_weights=weights)


def _row_type(type: TensorType) -> TensorType:
    return type.with_shape((type.shape[0], *type.shape[2:]))
