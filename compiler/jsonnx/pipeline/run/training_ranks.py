"""A training run of several workers: the one of rank 0 writes the RUN folder, the others compute with it."""

from __future__ import annotations

import json
import platform
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...collective.protocol import Collective
from ...core.diagnostics import CompileError, Diagnostic
from ...core.training_options import TrainingOptions
from ...data.samples.dataset import Dataset
from ...runtime.fit.environment import environment_changes
from ...runtime.fit.schedule_steps import write_steps
from ..check.check import CheckedSpec
from ..train.run_data import DataFiles, RunData
from ..train.trainer import Trainer
from .run_inputs import load_data, resumed_trainer
from .run_warnings import Warn, no_warning


def follow(
    checked: CheckedSpec, options: TrainingOptions, collective: Collective, callbacks: Iterable[object] = ()
) -> None:
    """Trains as a worker of another rank than 0, which writes nothing.

    Raises CompileError, FeedError and UsageError as `train`, and CollectiveError if another worker fails.
    """
    trainer = resumed_trainer(checked, options, no_warning, collective)
    data = load_data(trainer, DataFiles.of(options))
    compare_ranks(collective, trainer, data, no_warning)
    with tempfile.TemporaryDirectory(prefix="jsonnx-") as folder:
        trainer.plan_trainer.temporary_folder = folder
        if checkpoint := collective.broadcast(b""):
            path = Path(folder) / "checkpoint.safetensors"
            path.write_bytes(checkpoint)
            del checkpoint
            trainer.load_checkpoint(path)
        trainer.fit(data.train, validation_data=data.validation, callbacks=[*callbacks], verbose=0)


def share_checkpoint(collective: Collective, path: Path | None) -> None:
    """Gives the checkpoint from which rank 0 resumes to all other ranks; None if it starts."""
    collective.broadcast(b"" if path is None else path.read_bytes())


def compare_ranks(collective: Collective, trainer: Trainer, data: RunData, warn: Warn) -> None:
    """Compares the data and the environments of all ranks.

    All ranks get the numbers of steps of schedules that rank 0 has from a lock file. Raises CompileError
    `ranks-differ` for other data than those of rank 0. Another processor or another version is a warning, as the last
    bits may depend on it.
    """
    own = {"host": platform.node(), "data": _digests(data), "environment": trainer.environment()}
    own["schedule_steps"] = trainer.schedule_steps
    ranks = [json.loads(text) for text in collective.all_gather(json.dumps(own).encode())]
    errors = [
        Diagnostic(
            "ranks-differ",
            f"rank {rank} on {other['host']!r} reads other {part} data than rank 0 on {ranks[0]['host']!r}",
            help="give all workers the same files",
        )
        for rank, other in enumerate(ranks)
        for part, digest in ranks[0]["data"].items()
        if other["data"].get(part) != digest
    ]
    if errors:
        raise CompileError(errors)
    write_steps(trainer.plan_trainer.engine, ranks[0]["schedule_steps"])
    for rank, other in enumerate(ranks):
        changes = [*environment_changes(ranks[0]["environment"], other["environment"])]
        if changes:
            warn([_environment_warning(rank, other, changes)])


def _environment_warning(rank: int, other: Mapping[str, Any], changes: list[str]) -> Diagnostic:
    message = f"the environment of rank {rank} on {other['host']!r} differs from that of rank 0: {'; '.join(changes)}"
    help = "the last bits of the weights may depend on which worker computes which shards"
    return Diagnostic("not-exact", message, help=help, severity="warning")


def _digests(data: RunData) -> dict[str, str]:
    parts: Mapping[str, Dataset | None] = {"training": data.train, "validation": data.validation}
    return {part: samples.digest for part, samples in parts.items() if samples is not None}
