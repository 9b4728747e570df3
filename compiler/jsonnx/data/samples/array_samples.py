"""Samples from arrays of a program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...core.diagnostics import quoted_list, quoted_or_list, suggestion
from ...core.types import TensorType
from .array_arguments import (
    DataArgument,
    RaggedArray,
    is_batch_iterable,
    is_pair_of_arrays,
    is_pandas_series,
    is_query,
    not_an_array,
    to_array,
)
from .data_errors import ErrorCollector, FeedError
from .data_spec import DataSpec
from .dataset import Dataset, make_dataset
from .label_sets import LabelSets, are_labels, label_sets
from .learned_labels import with_learned_labels
from .sample_weights import validate_weights
from .validate_arrays import check_consistent_sizes, sample_location, validate_array

ROW_HELP = "a Series of pandas is one column, or a row without the columns' types: pass a row as a frame, df.iloc[[0]]"


def from_arrays(
    x: DataArgument,
    y: DataArgument,
    data_spec: DataSpec,
    sample_weight: DataArgument = None,
    *,
    targets: bool = True,
) -> Dataset:
    """Samples from arrays, or from dicts of arrays by input and output name. Raises FeedError with every error.

    `data_spec` has the type of each weight that may be given. A single array of weights, one for each sample, is that
    of all outputs.
    """
    errors = ErrorCollector()
    _require_arrays(x, errors, is_pair=bool(targets and data_spec.targets and y is None and is_pair_of_arrays(x)))
    unchecked = {
        **_arrays_by_name(x, data_spec.inputs, "input", errors),
        **(_arrays_by_name(y, data_spec.targets, "target", errors, data_spec) if targets else {}),
    }
    arrays: dict[str, Any] = {}
    for name, array in unchecked.items():
        if isinstance(array, LabelSets):
            arrays[name] = array
            continue
        validated = validate_array(array, name, data_spec, errors)
        if validated is not None:
            arrays[name] = validated
    weights: dict[str, np.ndarray] = {}
    for output, array in _weights_by_output(sample_weight, data_spec, errors).items():
        validated = validate_weights(array, output, data_spec, errors)
        if validated is not None:
            weights[output] = validated
    check_consistent_sizes(arrays, weights, data_spec, errors)
    samples = None if errors else with_learned_labels(make_dataset(arrays, data_spec, weights), errors)
    if samples is None or errors:
        raise FeedError(errors.diagnostics)
    return samples


def _require_arrays(x: DataArgument, errors: ErrorCollector, is_pair: bool) -> None:
    """Raises FeedError for batches, a query, and a pair of inputs and targets in one argument."""
    if is_batch_iterable(x) or is_query(x):
        errors.add("bad-feed", f"the data {not_an_array(x)}")
    elif is_pair:
        help = "pass them as two arguments, x and y"
        errors.add("bad-feed", "inputs and targets are given as one argument, a pair of arrays", help=help)
    if errors:
        raise FeedError(errors.diagnostics)


def _weights_by_output(argument: DataArgument, data_spec: DataSpec, errors: ErrorCollector) -> dict[str, np.ndarray]:
    """The weights that are given, by output."""
    if argument is None:
        return {}
    if not isinstance(argument, Mapping):
        argument = dict.fromkeys(data_spec.targets, argument)
    outputs = [name for name in argument if name in data_spec.targets and argument[name] is not None]
    for name in argument:
        if name not in data_spec.targets:
            help = suggestion(str(name), data_spec.targets) or f"known: {quoted_or_list(data_spec.targets)}"
            errors.add("bad-feed", f"sample_weight: there is no target {name!r}", help=help)
    return _converted({name: argument[name] for name in outputs}, "sample weight of", errors)


def _arrays_by_name(
    argument: DataArgument,
    types: Mapping[str, TensorType],
    kind: str,
    errors: ErrorCollector,
    data_spec: DataSpec | None = None,
) -> dict[str, Any]:
    if not types:
        if argument is not None:
            help = f"leave them out: no output has a loss that compares it with a {kind}"
            errors.add("bad-feed", f"{kind}s are given, and the training has none", help=help)
        return {}
    if not isinstance(argument, Mapping):
        if len(types) != 1 or argument is None:
            message = f"{kind}s: give a dict with {quoted_list(types)}" if len(types) > 1 else f"the {kind} is missing"
            errors.add("bad-feed", message, help=ROW_HELP if kind == "input" and is_pandas_series(argument) else None)
            return {}
        argument = {next(iter(types)): argument}
    for name in argument:
        if name not in types:
            errors.add(
                "bad-feed",
                f"there is no {kind} {name!r}",
                help=suggestion(str(name), types) or f"known: {quoted_or_list(types)}",
            )
    for name in types:
        if name not in argument:
            errors.add("bad-feed", f"the {kind} {name!r} is missing")
    return _converted({name: argument[name] for name in types if name in argument}, kind, errors, data_spec)


def _converted(
    values: Mapping[str, Any], kind: str, errors: ErrorCollector, data_spec: DataSpec | None = None
) -> dict[str, Any]:
    """The values as arrays, or as sets of labels."""
    arrays: dict[str, Any] = {}
    for name, value in values.items():
        if data_spec is not None and name in data_spec.label_separators and are_labels(value):
            sets = label_sets(value, name, data_spec, errors, sample_location)
            arrays |= {} if sets is None else {name: sets}
            continue
        try:
            arrays[name] = to_array(value)
        except RaggedArray as error:
            errors.add("data-shape", f"the {kind} {name!r} {error}")
        except ValueError as error:
            errors.add("bad-feed", f"the {kind} {name!r} {error}")
    return arrays
