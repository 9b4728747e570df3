"""Describes a run for `run.json` and `execution.json`: when it starts, and when it has ended."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.files.run_layout import SPEC_FILE
from ...core.metric_values import finite_or_none
from ...core.reserved_names import LOSS, validation_name
from ...core.system.optional_packages import used_package_versions
from ...core.system.peak_memory import peak_memory_bytes
from ...core.training_options import TrainingOptions
from ...runtime.fit.early_stopping import EarlyStoppingMonitor
from ...runtime.fit.environment import INSTRUCTION_SETS
from ...runtime.fit.schedule_steps import planned_steps
from ...runtime.fit_arguments import FitSettings
from ...sections.monitor import monitored_metric
from ..compile.word_vectors import vector_digests
from ..git.git_revision import git_revision
from ..run_folder.run_info import LAYOUT_VERSION, RUNNING, RunInfo, best_epoch, finite_metrics, path_from
from ..train.run_data import DataFiles, RunData
from .run_differences import FIT_ARGUMENTS, SCHEDULE_STEPS, TEACHER, VECTORS

if TYPE_CHECKING:
    from ...data.samples.dataset import Dataset
    from ...runtime.execution.history import History
    from ..check.check import CheckedSpec
    from ..train.trainer import Trainer


def start_info(
    folder: Path,
    checked: CheckedSpec,
    spec_sha256: str,
    trainer: Trainer,
    data: RunData,
    options: TrainingOptions,
    settings: FitSettings,
    before: RunInfo,
) -> RunInfo:
    """The description of a run that starts, or that continues one with the description `before`.

    `spec_sha256` is the hash of the spec, before anything was learned from the data.
    """
    document: Any = checked.source.value
    replaced = DataFiles.of(options).with_paths(lambda path: path_from(folder, Path(path)))
    return {
        "layout": LAYOUT_VERSION,
        "spec": Path(checked.source.file or SPEC_FILE).name,
        "name": checked.network.name,
        "state": RUNNING,
        "provider": trainer.provider,
        "provider_options": sorted(trainer.resolved_provider.chosen_options),
        "seed": trainer.plan.seed,
        "spec_sha256": spec_sha256,
        **options.recorded(),
        "parameters": document.get("parameters", {}),
        "initial_weights": before.get("initial_weights", trainer.initial_weights_digest),
        **_vectors(checked, trainer, before),
        **_teacher(trainer),
        "data": {part: {"samples": len(dataset), "sha256": dataset.digest} for part, dataset in data.parts.items()},
        **_schedule_steps(trainer, data, settings),
        "monitor": _monitor(trainer, data.validation is not None),
        "data_folder": path_from(folder, checked.folder),
        **({"data_files": replaced} if replaced else {}),
        "started": before.get("started", _now()),
        "ended": None,
        "seconds": finite_or_none(before.get("seconds")) or 0.0,
        "peak_memory_bytes": _greatest(before.get("peak_memory_bytes")),
        **_environment(trainer),
        "git_revision": git_revision(checked.folder),
    }


def _vectors(checked: CheckedSpec, trainer: Trainer, before: RunInfo) -> RunInfo:
    """The hashes of files of word vectors. A run that continues keeps those of files that are gone."""
    kept = before.get(VECTORS)
    digests = (kept if isinstance(kept, dict) else {}) | vector_digests(checked, trainer.plan.source)
    return {VECTORS: digests} if digests else {}


def _teacher(trainer: Trainer) -> RunInfo:
    """The hash of the teacher's model."""
    teacher = trainer.plan_trainer.open_teacher()
    return {} if teacher is None else {TEACHER: teacher.digest}


def _schedule_steps(trainer: Trainer, data: RunData, settings: FitSettings) -> RunInfo:
    """The numbers of steps of a schedule that the data and the epochs determine."""
    steps = trainer.schedule_steps or planned_steps(trainer.plan, data.train, settings)
    return {SCHEDULE_STEPS: steps} if steps else {}


def unspecified_arguments(settings: FitSettings, arguments: Mapping[str, Any], train: Dataset) -> RunInfo:
    """The arguments of `Trainer.fit` that a spec has no keys for, as far as they are given; of weights of samples, the
    hash."""
    values = {
        "initial_epoch": settings.initial_epoch or None,
        "steps_per_epoch": settings.steps_per_epoch,
        "validation_freq": settings.fixed["validation_freq"],
        "validation_split": arguments.get("validation_split") or None,
        "sample_weight": None if arguments.get("sample_weight") is None else train.weights_digest,
    }
    given = {name: value for name, value in values.items() if value is not None}
    return {FIT_ARGUMENTS: given} if given else {}


def _environment(trainer: Trainer) -> RunInfo:
    """The execution environment: threads, versions, and the machine."""
    environment = trainer.environment()
    versions = {name: environment[name] for name in ("jsonnx", "onnx", "onnxruntime", "numpy")}
    return {
        "threads": environment["threads"],
        "versions": {**versions, "python": platform.python_version(), **used_package_versions()},
        "machine": {
            "system": platform.platform(),
            "processor": environment["CPU"],
            "instruction_sets": environment[INSTRUCTION_SETS],
        },
    }


def end_info(
    run_info: RunInfo,
    state: str,
    seconds: float,
    history: History,
    test: Mapping[str, float] = {},
    files: Mapping[str, str] = {},
) -> RunInfo:
    """The description of a run that has ended after some more seconds. `files` are the hashes of files by name."""
    metrics = {name: values[-1] for name, values in history.history.items() if values}
    return run_info | {
        "state": state,
        "ended": _now(),
        "seconds": round((finite_or_none(run_info.get("seconds")) or 0.0) + seconds, 3),
        "peak_memory_bytes": _greatest(run_info.get("peak_memory_bytes"), peak_memory_bytes()),
        "epochs": len(history.epoch),
        "figures": finite_metrics(metrics),
        "best": best_epoch(run_info, history.history),
        "test": finite_metrics(test) if test else None,
        "sha256": dict(files),
    }


def _greatest(*counts: int | None) -> int | None:
    return max((count for count in counts if isinstance(count, int)), default=None)


def _monitor(trainer: Trainer, has_validation: bool) -> dict[str, str]:
    """The metric that tells the best epoch: the one that the spec monitors, or else a loss."""
    metric = monitored_metric(trainer.plan.training)
    if metric is None:
        return {"figure": validation_name(LOSS) if has_validation else LOSS, "mode": "min"}
    return {"figure": metric, "mode": "max" if EarlyStoppingMonitor(trainer.plan).is_maximized else "min"}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
