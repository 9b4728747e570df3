"""The options of trainings on a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from ..core.diagnostics import UsageError
from .options import Command

if TYPE_CHECKING:
    from ..ray.workers import RayWorkers

MAX_WORKERS = 4096

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
    click.option(
        "--address",
        metavar="HOST:PORT",
        help="With --distributed, the address of a running cluster, or auto for that of this machine; if omitted, that "
        "of RAY_ADDRESS, or else a cluster that is started for the training.",
    ),
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


def ray_workers(
    distributed: str | None,
    workers: tuple[int, int] | None,
    address: str | None,
    cpus_per_worker: int | None,
    on_status: Callable[[str], None],
) -> RayWorkers | None:
    """The workers that train; None for a training in this process. Raises UsageError."""
    if distributed is None:
        given = {"--workers": workers, "--address": address, "--cpus-per-worker": cpus_per_worker}
        option = next((name for name, value in given.items() if value is not None), None)
        if option is not None:
            raise UsageError("bad-option", f"{option} is for a training on a cluster", "add --distributed ray")
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
