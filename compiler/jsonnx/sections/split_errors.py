"""Errors in `split`, `windows` and `sequences` of a spec, found without its data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..core.diagnostics import JsonPath, quoted_or_list, suggest
from ..core.time_step import STEP_HELP
from ..core.types import Size, TensorType
from .columns import ColumnError, assigned_columns
from .data_section import DataSection
from .split_section import SplitSection, WindowsSection

DATA_PATH: JsonPath = ("training", "data")
REMOVE_ONE_HELP = "remove one of the two"


def split_errors(data: DataSection) -> Iterator[ColumnError]:
    """Keys of `training.data` that exclude each other, and shares that leave a part empty."""
    split = data.split
    if data.validation_split and (data.windows is not None or split is not None):
        message = "`validation_split` takes the last samples"
        reason = "which share rows with those before them" if split is None else "and `split` divides them, too"
        help = 'give "split": {"validation": ...} in place of `validation_split`'
        yield _error(f"{message}, {reason}", (*DATA_PATH, "validation_split"), help)
    if split is None:
        return
    for part in split.parts[1:]:
        if getattr(data, part) is not None:
            yield _error(
                f"`{part}` names files, and `split` sets rows aside for it, too", (*DATA_PATH, part), REMOVE_ONE_HELP
            )
    yield from _share_errors(split)
    yield from _exclusion_errors(split, data.windows is not None)


def _share_errors(split: SplitSection) -> Iterator[ColumnError]:
    path = (*DATA_PATH, "split")
    if len(split.parts) == 1:
        yield _error("the split sets no rows aside", path, "give `validation` or `test`, such as 0.2, or `folds`")
    if split.validation + split.test >= 1:
        yield _error("`validation` and `test` leave no rows for training", path, "the sum of the shares is less than 1")
    if split.folds is not None and split.fold >= split.folds:
        message = f"there is no fold {split.fold} of {split.folds}"
        yield _error(message, (*path, "fold"), f"folds count from 0: the last one is {split.folds - 1}")
    if split.folds is not None and split.validation:
        message = "each fold has an equal share of the rows, so there is no other for `validation`"
        yield _error(message, (*path, "validation"), REMOVE_ONE_HELP)


def _exclusion_errors(split: SplitSection, has_windows: bool) -> Iterator[ColumnError]:
    """Keys that decide the part of a row in several ways."""
    path = (*DATA_PATH, "split")
    rules = [name for name in ("key", "group", "time") if getattr(split, name) is not None]
    if len(rules) > 1:
        message = f"`{rules[0]}` and `{rules[1]}` both decide the part of a row"
        yield _error(message, (*path, rules[1]), REMOVE_ONE_HELP)
    for name in ("group", "time"):
        if split.stratify is not None and getattr(split, name) is not None:
            yield _error(f"`stratify` and `{name}` both decide the part of a row", (*path, "stratify"), REMOVE_ONE_HELP)
    if split.folds is not None and (split.time is not None or (has_windows and split.group is None)):
        message = "rows in the order of time have no folds: training would see what comes after"
        yield _error(message, (*path, "folds"), "give `validation`, or `group` for folds of whole groups")
    for name in ("key", "stratify"):
        if has_windows and getattr(split, name) is not None:
            message = f"`{name}` divides single rows, but a window has several that follow one another"
            yield _error(message, (*path, name), "remove it to divide each series by time, or give `group`")


def window_errors(
    data: DataSection, inputs: Mapping[str, TensorType], targets: Mapping[str, TensorType]
) -> Iterator[ColumnError]:
    """Inputs and targets that do not have the shape of windows."""
    windows = data.windows
    if windows is None:
        return
    path = (*DATA_PATH, "windows")
    if windows.step is not None and windows.time_step is None:
        yield _error(f"`step` is {windows.step!r}, which is no time between rows", (*path, "step"), STEP_HELP)
    for key, is_given in (("step", windows.step is not None), ("gaps", windows.gaps != "error")):
        if is_given and windows.time is None:
            message = f"`{key}` is about the times of rows, and no column of times is named"
            yield _error(message, (*path, key), f'name the column: "time": "date", or remove `{key}`')
    yield from _future_errors(windows, inputs)
    for name, type in inputs.items():
        is_future = name in windows.future_inputs
        key, size = ("horizon", windows.horizon) if is_future else ("length", windows.length)
        own_size = type.shape[1] if type.rank > 1 else None
        if not isinstance(own_size, Size) and own_size != size:
            subject = f"the horizon has {size:,} steps" if is_future else f"a window has {size:,} rows"
            message = f"{subject}, but the input {name!r} is {type}"
            help = f"the input has the shape [{size}, features]" if own_size is None else f'"{key}": {own_size}, or '
            help += "" if own_size is None else f"an input of the shape [{size}, ...]"
            yield _error(message, (*path, key), help)
    columns = assigned_columns(data.y, "y", targets)
    for name, type in targets.items():
        if type.rank > 3 or (type.rank == 3 and not takes_all_steps(type, windows, len(columns[name].names))):
            message = f"the target of {name!r} is {type}, which is neither one row nor {windows.horizon:,}"
            yield _error(message, (*path, "horizon"), "the horizon is the size of the output's first axis")


def _future_errors(windows: WindowsSection, inputs: Mapping[str, TensorType]) -> Iterator[ColumnError]:
    """Errors in the inputs that have the rows of the horizon."""
    path = (*DATA_PATH, "windows", "future")
    for index, name in enumerate(windows.future_inputs):
        if name not in inputs:
            own_path = path if isinstance(windows.future, str) else (*path, index)
            proposed = suggest(name, inputs)
            help = (
                proposed.text if proposed else f"it names inputs, to which `x` gives columns: {quoted_or_list(inputs)}"
            )
            fix = proposed.fix(own_path, at_key=False) if proposed else None
            yield ColumnError("unknown-name", f"there is no input {name!r}", own_path, help, fix)
    if not windows.future_inputs:
        return
    if windows.horizon == 0:
        message = "`future` is about the rows of the horizon, which is 0"
        yield _error(message, path, "give a `horizon` of at least 1, or remove `future`")
    if inputs and all(name in windows.future_inputs for name in inputs):
        message = "all inputs are in `future`, so that none has the rows of the window"
        yield _error(message, path, "take an input out of it")


def sequence_errors(data: DataSection, inputs: Mapping[str, TensorType]) -> Iterator[ColumnError]:
    """A `sequences` without an input that takes sequences of different lengths."""
    if data.sequences is None or any(type.rank > 1 and isinstance(type.shape[1], Size) for type in inputs.values()):
        return
    message = "`sequences` is for inputs of any length, and all inputs have a fixed size"
    yield _error(
        message, (*DATA_PATH, "sequences"), 'give the input a name in place of its first size: "shape": ["time"]'
    )


def takes_all_steps(type: TensorType, windows: WindowsSection, column_count: int) -> bool:
    """Whether a target has the values of all steps up to the horizon, not of a single row."""
    is_row = type.rank == 2 and column_count > 1
    return type.rank > 1 and not is_row and windows.horizon > 0 and type.shape[1] == windows.horizon


def _error(message: str, path: JsonPath, help: str) -> ColumnError:
    return ColumnError("bad-split", message, path, help)
