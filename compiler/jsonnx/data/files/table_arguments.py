"""Samples from tables in Python, as from files: by the columns of a spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ...core.diagnostics import CompileError
from ...core.files.spec_folders import DataFolder
from ...core.files.spec_source import SpecSource
from ...sections.data_section import DATA_PARTS, DataSection
from ..samples.array_arguments import DataArgument, is_table
from ..samples.array_samples import from_arrays
from ..samples.data_errors import ErrorCollector, FeedError
from ..samples.data_spec import DataSpec
from ..samples.dataset import Dataset
from ..samples.validate_arrays import check_consistent_sizes
from .data_locations import item_of_tables
from .dataset_files import from_items, from_split


def from_tables(
    x: Any,
    y: Any,
    data: DataSection | None,
    data_spec: DataSpec,
    source: SpecSource,
    sample_weight: DataArgument = None,
    *,
    targets: bool = True,
    needs_weights: bool = False,
) -> Dataset:
    """The samples in a table, like those of a file. Targets and weights may also be tables or arrays of their own.
    Raises FeedError with every error, UsageError without pyarrow.

    Unless `needs_weights`, the table may lack the columns of sample weights.
    """
    has_arrays = targets and (sample_weight is not None or (y is not None and not is_table(y)))
    with _errors_as_of_feeds():
        if not has_arrays:
            item = item_of_tables(x, y if targets else None, _folder(source))
            return from_items([item], data, data_spec, source, targets, needs_weights and targets)
        if y is None or is_table(y):
            item = item_of_tables(x, y, _folder(source))
            samples = from_items([item], data, replace(data_spec, sample_weights={}), source, True, False)
            y, data_spec = dict(samples.targets), replace(samples.data_spec, sample_weights=data_spec.sample_weights)
        else:
            item = item_of_tables(x, None, _folder(source))
            samples = from_items([item], data, data_spec, source, False, False)
    given = from_arrays(None, y, replace(data_spec, inputs={}), sample_weight)
    errors = ErrorCollector()
    own_spec = replace(given.data_spec, inputs=data_spec.inputs)
    check_consistent_sizes({**samples.inputs, **given.targets}, given.weights, own_spec, errors)
    if errors:
        raise FeedError(errors.diagnostics)
    return replace(given, inputs=samples.inputs, data_spec=own_spec, columns=samples.columns)


def parts_from_tables(
    x: Any, y: Any, data: DataSection, data_spec: DataSpec, source: SpecSource
) -> Mapping[str, Dataset]:
    """The parts into which the spec's `split` divides the rows of a table. Raises what `from_tables` raises."""
    with _errors_as_of_feeds():
        return from_split(data, [item_of_tables(x, y, _folder(source))], data_spec, source, DATA_PARTS)


@contextmanager
def _errors_as_of_feeds() -> Iterator[None]:
    """Raises FeedError for errors of the data, which have no file."""
    try:
        yield
    except CompileError as error:
        raise FeedError(replace(item, file=None) if item.path == "$" else item for item in error.diagnostics) from None


def _folder(source: SpecSource) -> DataFolder:
    """The folder that the names of images in a table refer to: that of the spec."""
    return DataFolder(source.folders.own, "", source.folders.roots)
