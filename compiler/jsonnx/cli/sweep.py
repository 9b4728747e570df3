"""The command sweep, which searches for the best values of a spec."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from .common import (
    ALL_OPTION,
    DATA_ROOT_OPTION,
    FORMAT_OPTION,
    PROVIDER_OPTION,
    PROVIDER_OPTIONS_OPTION,
    SCALE_OPTION,
    SET_OPTION,
    SPEC_ARGUMENT,
    handles_errors,
    print_diagnostics,
    print_provider_choice,
    print_result,
    print_status,
)
from .options import MAX_WORKERS, address_option, options_of, training_option

if TYPE_CHECKING:
    from ..pipeline.sweep.trial_host import TrialHost


@click.command(short_help="Search for the values with which a spec trains best.")
@SPEC_ARGUMENT
@click.option(
    "-o",
    "--output",
    metavar="SWEEP",
    help="Folder to write; if omitted, sweeps/SPEC, sweeps/SPEC-2, ..., named after the spec's file.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the search in the folder, without -o the spec's newest one; start if there is none yet.",
)
@click.option("--retry-failed", is_flag=True, help="With --resume, run failed trials again.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Number of trials that run at the same time, each in a process of its own.",
)
@training_option("threads")
@click.option(
    "--distributed",
    type=click.Choice(["ray"]),
    help="Run the trials on the nodes of a Ray cluster instead of on this machine.",
)
@address_option("search")
@click.option(
    "--cpus-per-trial",
    type=click.FloatRange(0, 1024, min_open=True),
    metavar="N",
    help="With --distributed, the CPUs that each trial reserves; by default, as many as it has threads.",
)
@click.option(
    "--workers-per-trial",
    type=click.IntRange(1, MAX_WORKERS),
    metavar="N",
    help="With --distributed, train each trial on so many workers, as the spec's training.distributed says.",
)
@click.option(
    "--keep",
    type=click.Choice(["best", "all"]),
    default="best",
    show_default=True,
    help="Whose RUN folders remain: those of the best trial, or of all.",
)
@training_option("seed", help="Override the spec's seed, with which each trial is trained.")
@training_option("data")
@training_option("validation_data")
@DATA_ROOT_OPTION
@click.option("--quiet", is_flag=True, help="Show no progress.")
@PROVIDER_OPTION
@PROVIDER_OPTIONS_OPTION
@FORMAT_OPTION
@SCALE_OPTION
@SET_OPTION
@ALL_OPTION
@handles_errors
def sweep(
    spec: str,
    output: str | None,
    resume: bool,
    retry_failed: bool,
    jobs: int,
    distributed: str | None,
    address: str | None,
    cpus_per_trial: float | None,
    workers_per_trial: int | None,
    keep: str,
    quiet: bool,
    format_: str,
    **arguments: Any,
) -> None:
    """Search for the values with which a spec trains best, as its `sweep` says."""
    import json

    from ..pipeline.sweep.sweep import run_sweep
    from ..pipeline.sweep.sweep_options import SweepOptions
    from ..render.results.sweep_display import sweep_display

    if not quiet:
        print_provider_choice(arguments["provider"])
    host = _trial_host(distributed, address, cpus_per_trial, workers_per_trial)
    options = SweepOptions(jobs, resume, retry_failed, "all" if keep == "all" else "best", options_of(arguments))
    with sweep_display(0 if quiet else 1) as display:
        result = run_sweep(
            spec,
            output,
            options,
            display,
            host=host,
            warn=lambda diagnostics: print_diagnostics(diagnostics, "text") if diagnostics else None,
            on_status=lambda text: None if quiet else print_status(text),
        )
    if format_ == "json":
        print_result(json.dumps(result.to_json(), indent=2))
    else:
        for line in result.summary_lines():
            print_result(line)
    sys.exit(result.exit_status)


def _trial_host(
    distributed: str | None, address: str | None, cpus_per_trial: float | None, workers_per_trial: int | None
) -> TrialHost | None:
    """The host of the trials; None for this machine. Raises UsageError."""
    if distributed is not None:
        from ..ray.trial_host import RayTrialHost

        return RayTrialHost(address, cpus_per_trial, workers_per_trial)
    given = {"--address": address, "--cpus-per-trial": cpus_per_trial, "--workers-per-trial": workers_per_trial}
    if option := next((name for name, value in given.items() if value is not None), None):
        from ..core.diagnostics import UsageError

        raise UsageError("bad-option", f"{option} is for trials on a cluster", "add --distributed ray")
    return None
