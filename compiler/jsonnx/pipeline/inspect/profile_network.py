"""Measures where the time of training steps, or of runs of a model, goes: by layer, operator and node."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from ...collective.protocol import Collective
from ...core.diagnostics import UsageError
from ...core.files.files import write_atomically
from ...core.files.loadable_model import LoadableModel
from ...core.files.run_layout import RunPaths
from ...core.files.spec_source import SpecSource
from ...core.files.user_files import UserFiles
from ...core.providers.known_providers import PLAIN_TARGET, target_names
from ...core.system.cpu_count import checked_thread_count
from ...data.files.data_locations import items_of_user
from ...data.files.dataset_files import inputs_from
from ...data.samples.dataset import Dataset
from ...runtime.fit.step_timer import EnoughSteps, StepTimer, StepTimes
from ...runtime.fit.trainer import PlanTrainer
from ...runtime.fit_arguments import fit_settings
from ...runtime.parity.example_feeds import draw_inputs
from ...runtime.profile.profile import Profile
from ...runtime.providers.node_origins import NodeOrigins
from ...runtime.providers.node_times import SessionTimes, session_times
from ...runtime.providers.provider_options import ProviderOptions
from ...runtime.providers.providers import Provider, SessionConfig, create_session, resolve_provider
from ...runtime.providers.session_recorder import session_recorder
from ...runtime.session.load_model import loadable_model, model_file
from ...runtime.session.session import Session
from ..check.check import CheckedSpec, check_spec
from ..check.data_spec import index_limits, input_spec, input_vocabularies
from ..compile.compile import compile_checked
from ..compile.model import Model
from ..run.recorded_data import recorded_data
from ..run_folder.run_info import read_run_info
from ..train.model_spec import checked_spec_of, require_spec
from ..train.run_data import SPEC_FILES, DataFiles
from ..train.trainer import Trainer
from .profiled_nodes import NodeOwners, StepPasses, profiled_nodes
from .trace_network import training_samples

WARM_UP_STEPS = 5
"""First steps that are not measured: onnxruntime plans its memory in them."""
ONNX_SUFFIX, ORT_SUFFIX = ".onnx", ".ort"

Feeds = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class ProfileOptions:
    """How a network is profiled."""

    steps: int = 20
    batch_size: int | None = None
    """Samples in a step; None: the spec's batch size, and 1 for runs of a model."""
    data: UserFiles | None = None
    """A file of samples; None: the spec's training data, and drawn inputs for runs of a model."""
    weights: str | None = None
    """A file or a RUN folder of weights, instead of the spec's or the initial ones."""
    provider: str = "cpu"
    provider_options: ProviderOptions | None = None
    threads: int | None = None
    changes: tuple[str, ...] = ()
    scale: str | None = None
    data_roots: tuple[str, ...] = ()
    verify: bool = True
    """Whether files must match the digests that they record."""
    trace_file: str | None = None
    """Where the events of the measured steps are written."""


DEFAULT_OPTIONS = ProfileOptions()


# -- training steps ----------------------------------------------------------------------------------------------------


def profile_training(spec_or_run: str, options: ProfileOptions = DEFAULT_OPTIONS) -> Profile:
    """Profiles training steps of a spec, or of the spec of a RUN folder, on its training data.

    Raises CompileError for a spec that cannot be trained and for data that do not fit, UsageError without data or
    provider, KeyboardInterrupt after a signal.
    """
    checked = checked_training_spec(spec_or_run, options)
    trainer, files = opened_trainer(spec_or_run, checked, options)
    samples = training_samples(trainer.plan, DataFiles(options.data) if options.data else files)
    trainer.prepare(samples)
    plain = _timed_steps(trainer, samples, options.steps)
    with session_recorder() as recorder:
        execution = trainer.record_steps(recorder)
        recorded = _timed_steps(trainer, samples, options.steps)
        trainer.record_steps(None)
        records = recorder.end()
    origins = [NodeOrigins(record.model, record.optimized_model) for record in records]
    times = [session_times(*pair, WARM_UP_STEPS) for pair in zip(records, origins, strict=True)]
    _write_trace(options.trace_file, times)
    # onnxruntime keeps a million events, which may be those of fewer steps.
    steps = recorded.steps if len(times) > 1 else times[0].runs
    shards = execution.shard_count
    # The shards of a batch run at the same time, so their mean counts.
    divisors = [max(1, steps) * (shards if index < shards else 1) for index in range(len(times))]
    owners = NodeOwners(checked.network, execution.packed_variables)
    passes = [StepPasses(origin, trainer.plan) for origin in origins]
    return Profile(
        subject=spec_or_run,
        is_training=True,
        provider=trainer.resolved_provider.label,
        has_started_nodes=_has_started_nodes(trainer.resolved_provider, times),
        threads=checked_thread_count(options.threads),
        batch_size=min(trainer.plan.training.batch_size, len(samples)),
        steps=steps,
        step_seconds=plain.seconds,
        recorded_step_seconds=recorded.seconds,
        waiting_seconds=recorded.waiting_seconds,
        runtime_seconds=sum(own.seconds / divisor for own, divisor in zip(times, divisors, strict=True)),
        nodes=tuple(profiled_nodes(times, divisors, owners, passes)),
        shard_count=shards,
    )


def checked_training_spec(spec_or_run: str, options: ProfileOptions) -> CheckedSpec:
    """The spec, or that of a RUN folder. Raises CompileError if it is invalid."""
    batch_size = () if options.batch_size is None else (f"training.batch_size={options.batch_size}",)
    spec = RunPaths(Path(spec_or_run)).spec if _is_run(spec_or_run) else spec_or_run
    checked = check_spec(spec, changes=(*options.changes, *batch_size), scale=options.scale)
    checked.require()
    return checked


def opened_trainer(
    spec_or_run: str, checked: CheckedSpec, options: ProfileOptions, collective: Collective | None = None
) -> tuple[PlanTrainer, DataFiles]:
    """The trainer of the spec, and the files that replaced the data that the spec names."""
    trainer = Trainer(
        checked,
        options.provider,
        weights=options.weights,
        threads=options.threads,
        verify=options.verify,
        data_roots=options.data_roots,
        provider_options=options.provider_options,
        collective=collective,
    ).plan_trainer
    if not _is_run(spec_or_run) or options.data:
        return trainer, SPEC_FILES
    folder = Path(spec_or_run)
    data = recorded_data(folder, read_run_info(folder), trainer.plan.source.data_roots)
    trainer.plan = replace(trainer.plan, source=data.source)
    return trainer, data.files


def _is_run(spec_or_run: str) -> bool:
    return RunPaths(Path(spec_or_run)).run_info.exists()


def _timed_steps(trainer: PlanTrainer, samples: Dataset, steps: int) -> StepTimes:
    """The times of steps of a fit, which ends with the last of them: nothing is validated or written."""
    timer = StepTimer(WARM_UP_STEPS, steps)
    with suppress(EnoughSteps):
        settings = fit_settings(trainer.plan.training, epochs=1, steps_per_epoch=WARM_UP_STEPS + steps)
        history = trainer.fit(samples, samples.subset(slice(1)), settings, (timer,))
        if history.signal is not None:
            raise KeyboardInterrupt
    times = timer.times()
    if times is None:
        raise RuntimeError("the fit ended before its steps")
    return times


# -- runs of a model ---------------------------------------------------------------------------------------------------


def profile_model(spec_or_model: str, options: ProfileOptions = DEFAULT_OPTIONS) -> Profile:
    """Profiles runs of a model: of a file, a RUN folder, or a spec with its initial weights.

    Raises CompileError for an invalid spec or model, UsageError for a missing file or provider, KeyboardInterrupt after
    a signal.
    """
    provider = resolve_provider(options.provider, options.provider_options)
    model, checked = _profiled_model(spec_or_model, provider.name, options)
    session = Session(model, provider, options.threads, options.verify)
    checked = checked or checked_spec_of(session, spec_or_model, Path(model_file(spec_or_model)).parent)
    batch_size = options.batch_size or 1
    fed = read_batches(options, checked, spec_or_model, batch_size) or [drawn_batch(session, checked, batch_size)]
    batches = [session.prepare(feeds) for feeds in fed]
    plain = _timed_runs(session.run, batches, options.steps)
    del session  # two sessions of a large model may exceed the memory
    with session_recorder() as recorder:
        config = SessionConfig(recorder=recorder)
        recorded_session = create_session(model, provider.with_graph_capture(False), options.threads, config)
        recorded = _timed_runs(lambda feeds: recorded_session.run(None, dict(feeds)), batches, options.steps)
        record = recorder.end()[0]
    origins = NodeOrigins(record.model, record.optimized_model)
    times = session_times(record, origins, WARM_UP_STEPS)
    _write_trace(options.trace_file, [times])
    owners = NodeOwners(checked.network if checked is not None else None)
    return Profile(
        subject=spec_or_model,
        is_training=False,
        provider=provider.label,
        has_started_nodes=_has_started_nodes(provider, [times]),
        threads=checked_thread_count(options.threads),
        batch_size=len(next(iter(batches[0].values()))),
        steps=times.runs,
        step_seconds=plain,
        recorded_step_seconds=recorded,
        waiting_seconds=0.0,
        runtime_seconds=times.seconds / max(1, times.runs),
        nodes=tuple(profiled_nodes([times], [max(1, times.runs)], owners, [None])),
    )


def _profiled_model(
    spec_or_model: str, target: str, options: ProfileOptions
) -> tuple[LoadableModel, CheckedSpec | None]:
    """A model, and the spec if it was compiled from one."""
    path = Path(model_file(spec_or_model))
    if path.suffix.lower() == ONNX_SUFFIX:
        require_no_changes(options)
        return loadable_model(path, options.verify), None
    if path.suffix.lower() == ORT_SUFFIX:
        message = "onnxruntime does not tell the layers of a model in ORT format"
        raise UsageError("bad-option", message, "profile the ONNX model, or measure its latency by --batch-sizes")
    model, checked = compiled_for_profile(spec_or_model, target, options)
    return model.to_loadable(), checked


def require_no_changes(options: ProfileOptions) -> None:
    """Raises UsageError for options that change a spec before it is compiled."""
    if options.changes or options.scale is not None or options.weights is not None:
        help = "name its spec instead, or leave them out"
        raise UsageError("bad-option", "--set, --scale and --weights have no effect on a compiled model", help)


def compiled_for_profile(spec: str, target: str, options: ProfileOptions) -> tuple[Model, CheckedSpec]:
    """The model of a spec for an execution provider."""
    checked = check_spec(spec, changes=options.changes, scale=options.scale)
    target = target if target in target_names() else PLAIN_TARGET
    return compile_checked(checked, options.weights, verify=options.verify, target=target), checked


def drawn_batch(session: Session, checked: CheckedSpec | None, batch_size: int) -> Feeds:
    """Inputs that are drawn by a fixed seed."""
    if checked is None:
        return draw_inputs(session.inputs, 0, batch_size)
    typed = checked.require()
    return draw_inputs(session.inputs, 0, batch_size, index_limits(typed), input_vocabularies(typed))


def read_batches(options: ProfileOptions, checked: CheckedSpec | None, model: str, batch_size: int) -> list[Feeds]:
    """The first batches of the samples in a file; none without a file. Raises CompileError, UsageError."""
    if options.data is None:
        return []
    typed = require_spec(checked, model).require()
    training = typed.network.training
    source = SpecSource().with_data_roots(options.data_roots)
    section = training.data if training else None
    samples, _ = inputs_from(items_of_user(options.data, source), section, input_spec(typed), None, ())
    batch_size = min(batch_size, len(samples))
    count = min(len(samples) // batch_size, options.steps)
    return [samples.take(slice(number * batch_size, (number + 1) * batch_size)) for number in range(count)]


def _timed_runs(run: Any, batches: Sequence[Feeds], steps: int) -> float:
    """The mean time of runs over batches, again and again, after some that are not measured."""
    start = 0.0
    for number in range(WARM_UP_STEPS + steps):
        if number == WARM_UP_STEPS:
            start = perf_counter()
        run(batches[number % len(batches)])
    return (perf_counter() - start) / steps


def _has_started_nodes(provider: Provider, times: Sequence[SessionTimes]) -> bool:
    """Whether a provider computes on a device that has not measured any kernel."""
    nodes = [node for own in times for node in own.nodes.values()]
    return provider.device != "cpu" and all(node.device_seconds is None for node in nodes)


def _write_trace(file: str | None, times: Sequence[SessionTimes]) -> None:
    """Writes the events of measured steps in the Trace Event Format."""
    if file is not None:
        events = [event for own in times for event in own.events]
        write_atomically(file, json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}).encode())
