"""The options of training on the command line, made from their records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..core.diagnostics import UsageError
from ..core.files.user_files import UserFiles, parse_user_files
from ..core.providers.known_providers import PLAIN_TARGET, target_names
from ..core.training_options import TRAINING_OPTIONS, TrainingOption, TrainingOptions

if TYPE_CHECKING:
    from ..ray.workers import RayWorkers

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
    if record.kind == "files":
        settings |= FILES_SETTINGS
    if record.kind == "fold":
        settings["callback"] = _fold_of
    return click.option(*record.flags, option.parameter, type=value_type(option), **settings)


def _files_of(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> UserFiles | None:
    """The files of an option that may be repeated. Raises click.BadParameter for several files without names."""
    try:
        return parse_user_files(values, parameter.opts[0])
    except UsageError as error:
        raise click.BadParameter(f"{error.diagnostic.message}: {error.diagnostic.help}.") from error


FILES_SETTINGS: dict[str, Any] = {"multiple": True, "callback": _files_of}
"""The settings of an option of files: FILE, or NAME=FILE several times."""


def data_option(help: str, metavar: str = "FILE", *, required: bool = False) -> Callable[[Command], Command]:
    """The option `--data` of a command that reads other data than the spec's."""
    return click.option("--data", metavar=metavar, required=required, help=help, **FILES_SETTINGS)


TARGET_OPTION = click.option(
    "--for",
    "target",
    type=click.Choice(target_names()),
    default=PLAIN_TARGET,
    show_default=True,
    help="Use only operators and element types that this execution provider has kernels for, as far as possible.",
)


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


# -- trainings on a cluster --------------------------------------------------------------------------------------------

MAX_WORKERS = 4096


def address_option(purpose: str) -> Callable[[Command], Command]:
    """The option `--address` of a command that runs something on a cluster."""
    return click.option(
        "--address",
        metavar="HOST:PORT",
        help="With --distributed, the address of a running cluster, or auto for that of this machine; if omitted, that "
        f"of RAY_ADDRESS, or else a cluster that is started for the {purpose}.",
    )


_OPTIONS = (
    click.option(
        "--distributed",
        type=click.Choice(["ray"]),
        help="Train on the workers of a Ray cluster, to the same bits as on one machine; the spec says with "
        "training.distributed into how many shards they cut a batch.",
    ),
    click.option(
        "--workers",
        metavar="N|MIN-MAX",
        callback=lambda context, parameter, value: _workers_of(value),
        help="With --distributed, the number of workers, or the least and the largest number, of which as many train "
        "as the cluster has room for; 0 trains in this process. [default: 1]",
    ),
    address_option("training"),
    click.option(
        "--cpus-per-worker",
        type=click.IntRange(1, 4096),
        metavar="N",
        help="With --distributed, the CPUs that each worker reserves, and its threads; by default, the CPUs of a node "
        "are divided among its workers.",
    ),
)


def distributed_options(command: Command) -> Command:
    """Gives a command the options of a training on a cluster."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def require_distributed(distributed: str | None, purpose: str, given: Mapping[str, object]) -> None:
    """Raises UsageError if options of a cluster are given without --distributed."""
    option = next((name for name, value in given.items() if value is not None), None)
    if distributed is None and option is not None:
        raise UsageError("bad-option", f"{option} is for {purpose}", "add --distributed ray")


def ray_workers(
    distributed: str | None,
    workers: tuple[int, int] | None,
    address: str | None,
    cpus_per_worker: int | None,
    on_status: Callable[[str], None],
) -> RayWorkers | None:
    """The workers that train; None for a training in this process. Raises UsageError."""
    given = {"--workers": workers, "--address": address, "--cpus-per-worker": cpus_per_worker}
    require_distributed(distributed, "a training on a cluster", given)
    if distributed is None:
        return None
    from ..ray.workers import RayWorkers, Scaling

    least, most = workers or (1, 1)
    return RayWorkers(Scaling(least, most, cpus_per_worker), address, on_status=on_status)


def _workers_of(value: str | None) -> tuple[int, int] | None:
    """The least and the largest number of workers. Raises click.BadParameter."""
    if value is None:
        return None
    least, dash, most = value.partition("-")
    numbers = [part for part in (least, most if dash else least) if part.isascii() and part.isdecimal()]
    if len(numbers) == 2 and max(map(len, numbers)) <= len(str(MAX_WORKERS)):
        first, last = map(int, numbers)
        if first <= last <= MAX_WORKERS and (first or not last):
            return first, last
    raise click.BadParameter(f"{value!r} is neither a number of workers nor a range of them, such as 1-4.")
