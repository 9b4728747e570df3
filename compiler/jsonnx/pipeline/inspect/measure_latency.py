"""Measures latency, throughput and memory of a model in a process that does nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ...core.diagnostics import UsageError
from ...core.files.files import error_reason
from ...core.system.cpu_count import checked_thread_count
from ...runtime.profile.latency import BatchLatency, LatencyProfile
from ...runtime.providers.providers import Provider, resolve_provider
from ...runtime.session.load_model import model_file
from ...runtime.session.measure_runs import RunsJob
from ...runtime.session.session import Session
from ..check.check import CheckedSpec
from ..train.model_spec import checked_spec_of
from .profile_network import (
    DEFAULT_OPTIONS,
    ONNX_SUFFIX,
    ORT_SUFFIX,
    Feeds,
    ProfileOptions,
    compiled_for_profile,
    drawn_batch,
    read_batches,
    require_no_changes,
)

PROCESS_MODULE = "jsonnx.runtime.session.measure_runs_main"
PACKAGE_PARENT = Path(__file__).parents[3]
MAX_QUOTED_CHARACTERS = 300
"""Characters at the end of what a failed process has printed that the error quotes."""


def measure_latency(
    spec_or_model: str, batch_sizes: Sequence[int], options: ProfileOptions = DEFAULT_OPTIONS
) -> LatencyProfile:
    """Measures runs of a model, of a file, a RUN folder, or a spec with its initial weights, by batch size.

    At least `options.steps` runs are measured with each batch size. Raises CompileError for an invalid spec or model,
    UsageError for a missing file or provider, and for a batch size that the model or the data do not allow.
    """
    provider = resolve_provider(options.provider, options.provider_options)
    with TemporaryDirectory(prefix="jsonnx-profile-") as folder:
        file, checked = _model_file(spec_or_model, provider.name, options, folder)
        session = Session(file, provider, options.threads, options.verify)
        checked = checked or checked_spec_of(session, spec_or_model, Path(model_file(spec_or_model)).parent)
        feeds = {
            str(size): _write_feeds(_batch(session, checked, spec_or_model, size, options), size, folder)
            for size in batch_sizes
        }
        del session  # two sessions of a large model may exceed the memory
        provider_options = dict(provider.options)
        job = RunsJob(file, provider.name, provider_options, options.threads, options.steps, feeds)
        measured = _run_process(job)
    return _profile(spec_or_model, provider, checked_thread_count(options.threads), measured)


def _model_file(
    spec_or_model: str, target: str, options: ProfileOptions, folder: str
) -> tuple[str, CheckedSpec | None]:
    """The file of a model, which is written to the folder if it is compiled from a spec, and the spec."""
    file = model_file(spec_or_model)
    if Path(file).suffix.lower() in (ONNX_SUFFIX, ORT_SUFFIX):
        require_no_changes(options)
        return file, None
    model, checked = compiled_for_profile(spec_or_model, target, options)
    path = os.path.join(folder, "model.onnx")
    model.save(path)
    return path, checked


def _batch(
    session: Session, checked: CheckedSpec | None, model: str, batch_size: int, options: ProfileOptions
) -> Feeds:
    """What the session is fed. Raises UsageError if it cannot be a batch of this size."""
    read = read_batches(options, checked, model, batch_size)
    feeds = session.prepare(read[0] if read else drawn_batch(session, checked, batch_size))
    counts = {len(array) for name, array in feeds.items() if array.ndim and name in session.inputs}
    if counts - {batch_size}:
        limit = "the data have fewer samples" if read else f"the inputs of {model!r} have a fixed first axis"
        help = f"give --batch-sizes {'at most ' if read else ''}{max(counts)}"
        raise UsageError("bad-option", f"--batch-sizes {batch_size}: {limit}", help)
    return feeds


def _write_feeds(feeds: Feeds, batch_size: int, folder: str) -> str:
    file = os.path.join(folder, f"{batch_size}.npz")
    arrays: dict[str, Any] = {
        name: array.astype(np.str_) if array.dtype.kind == "O" else array for name, array in feeds.items()
    }
    np.savez(file, **arrays)
    return file


def _run_process(job: RunsJob) -> dict[str, Any]:
    """The result of a process that measures. Raises UsageError if it fails."""
    paths = [str(PACKAGE_PARENT), os.environ.get("PYTHONPATH", "")]
    try:
        process = subprocess.run(
            [sys.executable, "-P", "-m", PROCESS_MODULE],
            input=json.dumps(job._asdict()),
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
    except OSError as error:
        raise UsageError("system-failure", f"cannot start a process: {error_reason(error)}") from error
    if process.returncode:
        reason = f"signal {-process.returncode}" if process.returncode < 0 else process.stderr.strip()
        message = f"the process that runs the model has failed: {reason[-MAX_QUOTED_CHARACTERS:]}"
        raise UsageError("system-failure", message, "a smaller batch size needs less memory")
    result: dict[str, Any] = json.loads(process.stdout)
    return result


def _profile(subject: str, provider: Provider, threads: int, measured: Mapping[str, Any]) -> LatencyProfile:
    batches = [batch | {"run_seconds": tuple(batch["run_seconds"])} for batch in measured["batches"]]
    fields = {key: value for key, value in measured.items() if key != "batches"}
    own_batches = tuple(BatchLatency(**batch) for batch in batches)
    return LatencyProfile(subject=subject, provider=provider.label, threads=threads, batches=own_batches, **fields)
