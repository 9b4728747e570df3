"""Runs in a store of MLflow."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Mapping
from typing import Any

from ..core.system.optional_packages import require_package
from .tracker import RunTracker, TrackedRun, read_run_key, write_run_key

KEY_FILE = "mlflow.json"
"""The file of the RUN folder with the id of MLflow's run and the URI of its store."""
MAX_VALUE_CHARACTERS = 500
"""The longest value of a parameter that all versions of MLflow accept."""
MAX_BATCH_PARAMETERS = 100
MAX_RETRIES = "3"
"""Number of repetitions of a request, unless the user's environment sets it. MLflow's default takes minutes."""
STATUS_BY_STATE = {"finished": "FINISHED", "interrupted": "KILLED"}
DEFAULT_EXPERIMENT = "Default"
_UNACCEPTED = re.compile(r"[^\w\-. :/]")


class MlflowTracker(RunTracker):
    """Logs parameters, tags, metrics and the spec by MLflow's client, to the store that MLflow's variables name."""

    def __init__(self, experiment: str | None) -> None:
        self._mlflow = require_package("mlflow", "mlflow", "the tracker mlflow")
        self._entities = require_package("mlflow.entities", "mlflow", "the tracker mlflow")
        self._experiment = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or DEFAULT_EXPERIMENT
        self._client: Any = None
        self._run_id = ""
        self._last_steps: dict[str, int] = {}
        """The last step of each metric that the run has from before it was resumed."""

    def start(self, run: TrackedRun) -> None:
        for name in ("mlflow", "alembic"):  # they tell of the tables that they create
            logging.getLogger(name).setLevel(logging.WARNING)
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", MAX_RETRIES)
        self._client = self._mlflow.MlflowClient()
        uri = self._mlflow.get_tracking_uri()
        key = read_run_key(run.folder / KEY_FILE) if run.is_resumed else {}
        known: Mapping[str, str] = {}
        if key.get("tracking_uri") == uri and isinstance(key.get("run_id"), str):
            known = self._continue(key["run_id"])
        else:
            self._run_id = self._create(run)
            write_run_key(run.folder / KEY_FILE, run_id=self._run_id, tracking_uri=uri)
        values = {accepted_name(name): str(value)[:MAX_VALUE_CHARACTERS] for name, value in run.parameters.items()}
        parameters = [self._entities.Param(name, value) for name, value in values.items() if name not in known]
        for start in range(0, len(parameters), MAX_BATCH_PARAMETERS):
            self._client.log_batch(self._run_id, params=parameters[start : start + MAX_BATCH_PARAMETERS])
        self._client.log_artifact(self._run_id, str(run.spec_file))

    def _create(self, run: TrackedRun) -> str:
        """A new run, in the experiment, which is created if it does not exist. Returns its id."""
        experiment = self._client.get_experiment_by_name(self._experiment)
        experiment_id = experiment.experiment_id if experiment else self._client.create_experiment(self._experiment)
        return self._client.create_run(experiment_id, tags=dict(run.tags), run_name=run.name).info.run_id

    def _continue(self, run_id: str) -> Mapping[str, str]:
        """Continues a run. Returns its parameters, which MLflow never changes."""
        data = self._client.get_run(run_id).data
        self._run_id = run_id
        for name in data.metrics:
            self._last_steps[name] = max(metric.step for metric in self._client.get_metric_history(run_id, name))
        self._client.update_run(run_id, status="RUNNING")
        return data.params

    def figures(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Logs metrics, but for those that the run has from before it was resumed: they are the same, bit for bit."""
        milliseconds = int(time.time() * 1000)
        named = {accepted_name(name): value for name, value in values.items()}
        metrics = [
            self._entities.Metric(name, value, milliseconds, step)
            for name, value in named.items()
            if step > self._last_steps.get(name, -1)
        ]
        self._client.log_batch(self._run_id, metrics=metrics)

    def end(self, state: str) -> None:
        self._client.set_terminated(self._run_id, STATUS_BY_STATE.get(state, "FAILED"))


def accepted_name(name: str) -> str:
    """A name with only the characters that MLflow accepts in one."""
    return _UNACCEPTED.sub("_", name)
