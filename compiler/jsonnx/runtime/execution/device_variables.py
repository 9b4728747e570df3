"""Weights, states and optimizer slots in the memory of a device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..providers.providers import Provider
from .device_memory import DeviceAllocator, TensorCopies, can_copy_in_place
from .variables import SET_COUNT

if TYPE_CHECKING:
    from ...ir import Graph


class DeviceVariables:
    """Variables in the memory of a device, in `SET_COUNT` sets.

    Losses are read after several steps. The set that the last step with a finite loss has read is kept until then, and
    steps alternate between the two others, so no step copies a variable.
    """

    def __init__(
        self, graph: Graph, arrays: Mapping[str, np.ndarray], updated: Iterable[str], provider: Provider
    ) -> None:
        self.current_set = self.kept_set = self._last_read_set = 0
        self.sets: list[dict[str, Any]] = []  # before the allocator, to be freed before it
        self._updated = set(updated)
        values = {**graph.parameters, **graph.states}
        self._allocator = DeviceAllocator({name: values[name].type for name in arrays}, provider)
        self._fill(arrays)

    def _fill(self, arrays: Mapping[str, np.ndarray]) -> None:
        first = self._allocator.to_device(arrays)
        self.sets[:] = [first]
        for _ in range(SET_COUNT - 1):
            copy = self._allocator.to_device(arrays)
            self.sets.append({name: copy[name] if name in self._updated else first[name] for name in arrays})

    @property
    def next_set(self) -> int:
        """The index of the set that the next step writes: neither the current nor the kept one."""
        return next(index for index in range(SET_COUNT) if index not in (self.current_set, self.kept_set))

    def advance(self) -> None:
        self._last_read_set, self.current_set = self.current_set, self.next_set

    def confirm(self) -> None:
        """Keeps the set that the last step has read, whose loss is finite, instead of an older one."""
        self.kept_set = self._last_read_set

    def read(self, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        arrays = self._allocator.to_host(self.sets[self.current_set])
        return {name: arrays[name] for name in (arrays if names is None else names)}

    def views(self, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        return self.read(names)

    def types(self) -> Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]:
        return {name: (array.dtype, array.shape) for name, array in self.read().items()}

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        if can_copy_in_place():
            current = self.sets[self.current_set]
            contiguous = [np.ascontiguousarray(array) if array.ndim else array for array in arrays.values()]
            TensorCopies(contiguous, [current[name] for name in arrays]).to_device()
        else:
            self._fill(self.read() | dict(arrays))
        self.kept_set = self._last_read_set = self.current_set

    def rollback(self, steps: int) -> None:
        """To the kept set, whatever the number of steps since."""
        self.current_set = self._last_read_set = self.kept_set
