"""The options of training on the command line, made from their records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from ..core.training_options import TRAINING_OPTIONS, TrainingOption, TrainingOptions

Command = TypeVar("Command", bound=Callable[..., Any])

ALL_FOLDS = -1
"""The value of `--fold all`."""


def training_option(name: str, help: str | None = None) -> Callable[[Command], Command]:
    """A decorator that gives a command the option of a field of TrainingOptions; `help` replaces the record's."""
    option = TRAINING_OPTIONS[name]
    record = option.record
    settings: dict[str, Any] = {"metavar": record.metavar, "help": help or record.help}
    if option.has_default_value:
        settings |= {"default": option.default, "show_default": True}
    if record.kind == "flag":
        settings["is_flag"] = True
    if record.kind in ("texts", "folders", "assignments"):
        settings["multiple"] = True
    if record.kind == "fold":
        settings["callback"] = _fold_of
    return click.option(*record.flags, option.parameter, type=value_type(option), **settings)


def value_type(option: TrainingOption) -> click.ParamType[Any] | None:
    """The type of an option's value on the command line; None for a text or a flag."""
    record = option.record
    if record.kind == "integer":
        return click.IntRange(record.minimum, record.maximum)
    if record.kind == "folders":
        return click.Path(exists=True, file_okay=False)
    return click.Choice(record.choices) if record.choices else None


def training_options(command: Command) -> Command:
    """Gives a command all options of training, in the order of their records."""
    for name in reversed(TRAINING_OPTIONS):
        command = training_option(name)(command)
    return command


def options_of(arguments: Mapping[str, Any]) -> TrainingOptions:
    """The options with the arguments of a command; others have their defaults. Raises UsageError."""
    given = [option for option in TRAINING_OPTIONS.values() if option.parameter in arguments]
    return TrainingOptions(**{option.name: _value(option, arguments[option.parameter]) for option in given})


def _value(option: TrainingOption, argument: Any) -> Any:
    if option.record.kind == "flag":
        return option.default != argument
    if option.record.kind == "assignments":
        from ..runtime.providers.provider_options import parse_assignments

        return parse_assignments(argument) or None
    return argument


def _fold_of(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """The index of a fold, or ALL_FOLDS for `all`. Raises click.BadParameter for another value."""
    if value is None:
        return None
    if value == "all":
        return ALL_FOLDS
    if not (value.isascii() and value.isdecimal() and len(value) < 10):
        raise click.BadParameter(f"{value!r} is neither the index of a fold, which counts from 0, nor 'all'.")
    return int(value)
