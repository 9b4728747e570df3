"""Samples as validated arrays, and those from arrays of a program; `dataset_files` reads them from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..core.diagnostics import quoted_or_list, suggestion
from ..core.numpy_types import numpy_dtype
from ..core.reserved_names import target_name
from ..core.types import TensorType
from .array_arguments import RaggedArray, is_batch_iterable, is_pair_of_arrays, not_an_array, to_array
from .array_digest import array_digest
from .data_errors import FaultCollector, FeedError
from .data_spec import MAX_SUGGESTED_LABELS, DataSpec
from .validate_arrays import check_consistent_sizes, validate_array

DataArgument = np.ndarray | Mapping[str, Any] | list[Any] | None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Validated arrays by input and by output name, with the samples along the first axis.

    Arrays keep their element types; a batch is cast when it is taken.
    """

    inputs: Mapping[str, np.ndarray]
    targets: Mapping[str, np.ndarray]
    data_spec: DataSpec
    dropped_count: int = 0
    """The samples that were left out, since they have missing values."""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The columns of a file that patterns of the spec match, by input."""

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def take(self, rows: np.ndarray | slice) -> dict[str, np.ndarray]:
        """The arrays of these samples, by the names and in the element types of the graphs."""
        feeds = {name: _take_rows(array, rows, self.data_spec.inputs[name]) for name, array in self.inputs.items()}
        for name, array in self.targets.items():
            feeds[target_name(name)] = _take_rows(array, rows, self.data_spec.targets[name])
        return feeds

    def copy_into(self, buffers: Mapping[str, np.ndarray], rows: np.ndarray | slice) -> None:
        """Copies these samples into existing arrays."""
        for name, buffer in buffers.items():
            array = self._feeds[name]
            if isinstance(rows, slice) or array.dtype != buffer.dtype:
                buffer[...] = array[rows]
            else:
                array.take(rows, axis=0, out=buffer, mode="clip")  # with mode "raise", `take` would buffer its output

    def sample_types(self) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """The shape of one sample and its element type in the graphs, by the names of the graphs' inputs."""
        types = {**self.data_spec.inputs, **{target_name(name): type for name, type in self.data_spec.targets.items()}}
        return {name: (array.shape[1:], numpy_dtype(types[name].dtype)) for name, array in self._feeds.items()}

    @cached_property
    def _feeds(self) -> dict[str, np.ndarray]:
        return {**self.inputs, **{target_name(name): array for name, array in self.targets.items()}}

    def split(self, fraction: float) -> tuple[Dataset, Dataset]:
        """Splits off the last samples, a fraction of all. Raises FeedError if either part would be empty."""
        train_count = int(len(self) * (1.0 - fraction))
        if not 0 < train_count < len(self):
            faults = FaultCollector()
            faults.add("empty-data", f"{len(self)} samples cannot be split with a fraction of {fraction} set aside")
            raise FeedError(faults.diagnostics)
        train = replace(self._subset(slice(train_count)), dropped_count=self.dropped_count)
        return train, self._subset(slice(train_count, None))

    def _subset(self, rows: slice) -> Dataset:
        inputs = {name: array[rows] for name, array in self.inputs.items()}
        targets = {name: array[rows] for name, array in self.targets.items()}
        return replace(self, inputs=inputs, targets=targets, dropped_count=0)

    @staticmethod
    def concatenate(parts: Sequence[Dataset]) -> Dataset:
        """The samples of all parts, which have samples of equal shapes."""
        if len(parts) == 1:
            return parts[0]
        inputs = {name: np.concatenate([part.inputs[name] for part in parts]) for name in parts[0].inputs}
        targets = {name: np.concatenate([part.targets[name] for part in parts]) for name in parts[0].targets}
        dropped_count = sum(part.dropped_count for part in parts)
        return replace(parts[0], inputs=inputs, targets=targets, dropped_count=dropped_count)

    @cached_property
    def digest(self) -> str:
        """A hash of the samples' values and their order."""
        return array_digest([*self.inputs.items(), *self.targets.items()])


def _take_rows(array: np.ndarray, rows: np.ndarray | slice, type: TensorType) -> np.ndarray:
    samples = array[rows] if isinstance(rows, slice) else array.take(rows, axis=0)
    return np.ascontiguousarray(samples, numpy_dtype(type.dtype))


# -- from arrays -----------------------------------------------------------------------------------------------------


def from_arrays(x: DataArgument, y: DataArgument, data_spec: DataSpec, *, targets: bool = True) -> Dataset:
    """Samples from arrays, or from dicts of arrays by input and output name. Raises FeedError with every fault."""
    faults = FaultCollector()
    if is_batch_iterable(x):
        faults.add("bad-feed", f"the data {not_an_array(x)}")
        raise FeedError(faults.diagnostics)
    if targets and data_spec.targets and y is None and is_pair_of_arrays(x):
        help = "pass them as two arguments, x and y"
        faults.add("bad-feed", "inputs and targets are given as one argument, a pair of arrays", help=help)
        raise FeedError(faults.diagnostics)
    unchecked = {
        **_arrays_by_name(x, data_spec.inputs, "input", faults),
        **(_arrays_by_name(y, data_spec.targets, "target", faults) if targets else {}),
    }
    arrays: dict[str, np.ndarray] = {}
    for name, array in unchecked.items():
        validated = validate_array(array, name, data_spec, faults)
        if validated is not None:
            arrays[name] = validated
    check_consistent_sizes(arrays, data_spec, faults)
    samples = None if faults else with_learned_labels(make_dataset(arrays, data_spec), faults)
    if samples is None or faults:
        raise FeedError(faults.diagnostics)
    return samples


def with_learned_labels(samples: Dataset, faults: FaultCollector) -> Dataset:
    """The samples with class indices in place of the texts in targets, whose sorted texts are the labels. Adds a fault
    unless there are as many classes as the output has."""
    if all(array.dtype.kind != "O" for array in samples.targets.values()):
        return samples
    labels, targets = dict(samples.data_spec.labels), dict(samples.targets)
    for output, array in samples.targets.items():
        if array.dtype.kind != "O":
            continue
        title, count = samples.data_spec.describe(output), samples.data_spec.class_counts[output]
        if not all(isinstance(item, str) for item in array.flat):
            faults.add("bad-value", f"{title} has numbers in some files and texts in others")
            continue
        classes, indices = np.unique(array.astype(str), return_inverse=True)
        labels[output], targets[output] = tuple(classes.tolist()), indices.reshape(array.shape).astype(np.int64)
        if len(classes) != count:
            names = quoted_or_list(labels[output][:MAX_SUGGESTED_LABELS])
            more = ", ..." if len(classes) > MAX_SUGGESTED_LABELS else ""
            units = f"give the layer {output!r} {len(classes)} units" if len(classes) > 1 else "more than one is needed"
            help = f"the classes are {names}{more}; {units}, or list all classes in `labels` of the spec"
            faults.add("data-shape", f"{title} has {len(classes)} classes, the network {count}", help=help)
    return replace(samples, targets=targets, data_spec=replace(samples.data_spec, labels=labels))


def make_dataset(arrays: Mapping[str, np.ndarray], data_spec: DataSpec) -> Dataset:
    """The samples in validated arrays by input and by output name."""
    inputs = {name: arrays[name] for name in data_spec.inputs}
    return Dataset(inputs, {name: arrays[name] for name in data_spec.targets if name in arrays}, data_spec)


def _arrays_by_name(
    argument: DataArgument, types: Mapping[str, TensorType], kind: str, faults: FaultCollector
) -> dict[str, np.ndarray]:
    if not types:
        if argument is not None:
            help = f"leave them out: no output has a loss that compares it with a {kind}"
            faults.add("bad-feed", f"{kind}s are given, and the training has none", help=help)
        return {}
    if not isinstance(argument, Mapping):
        if len(types) != 1 or argument is None:
            faults.add(
                "bad-feed",
                f"{kind}s: give a dict with {quoted_or_list(types)}" if len(types) > 1 else f"the {kind} is missing",
            )
            return {}
        argument = {next(iter(types)): argument}
    for name in argument:
        if name not in types:
            faults.add(
                "bad-feed",
                f"there is no {kind} {name!r}",
                help=suggestion(str(name), types) or f"known: {quoted_or_list(types)}",
            )
    arrays = {}
    for name in types:
        if name not in argument:
            faults.add("bad-feed", f"the {kind} {name!r} is missing")
            continue
        try:
            arrays[name] = to_array(argument[name])
        except RaggedArray as error:
            faults.add("data-shape", f"the {kind} {name!r} {error}")
        except ValueError as error:
            faults.add("bad-feed", f"the {kind} {name!r} {error}")
    return arrays
