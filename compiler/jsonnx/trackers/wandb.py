"""Runs of Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.files.files import refuse_special_files
from ..core.system.optional_packages import require_package
from .tracker import RunTracker, TrackedRun, read_run_key, write_run_key

FOLDER = "wandb"
"""The folder in the RUN folder that the package writes to."""
KEY_FILE = "wandb.json"
"""The file of the RUN folder with the id of the run."""


class WandbTracker(RunTracker):
    """Logs parameters, metrics and the spec by the package wandb, which prints nothing."""

    def __init__(self, project: str | None, mode: str) -> None:
        self._wandb = require_package("wandb", "wandb", "the tracker wandb")
        self._project, self._mode = project, mode
        self._run: Any = None

    def start(self, run: TrackedRun) -> None:
        key = read_run_key(run.folder / KEY_FILE) if run.is_resumed else {}
        refuse_special_files([run.folder / FOLDER])
        self._run = self._wandb.init(
            project=self._project,
            id=key.get("run_id"),
            resume="allow" if key and self._mode == "online" else None,
            name=run.name,
            config=dict(run.parameters),
            notes="\n".join(f"{name}: {value}" for name, value in run.tags.items()),
            dir=str(run.folder),
            mode=self._mode,
            reinit="create_new",
            settings=self._wandb.Settings(silent=True, console="off", disable_git=True),
        )
        write_run_key(run.folder / KEY_FILE, run_id=self._run.id)
        artifact = self._wandb.Artifact(f"spec-{self._run.id}", type="spec")
        artifact.add_file(str(run.spec_file))
        self._run.log_artifact(artifact)

    def figures(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        self._run.log({**values, "epoch": epoch}, step=step)

    def end(self, state: str) -> None:
        self._run.summary["state"] = state
        self._run.finish(exit_code=0 if state in ("finished", "interrupted") else 1)
