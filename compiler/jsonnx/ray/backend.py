"""The backend of Ray Train for jsonnx: it checks the nodes of the workers and tells them how to connect.

Ray calls it in its controller, an actor beside the process that has started the training, for each group of workers.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, NoReturn

import ray
from ray.train import UserCallback
from ray.train.backend import Backend, BackendConfig

from ..core.diagnostics import UsageError
from .cluster import cause_of
from .monitor import Event
from .node_checks import NodeChecks, WorkerPlace, missing_error
from .rendezvous import Rendezvous, join, set_rendezvous

TOKEN_BYTES = 32


class TrainingEnded(Exception):
    """Ends the training without another attempt, since Ray does not retry errors of a controller. The monitor has the
    error itself."""


@dataclass
class JsonnxConfig(BackendConfig):
    """The configuration of the backend."""

    monitor: Any
    checks: NodeChecks

    @property
    def backend_cls(self) -> type[Backend]:
        return JsonnxBackend


class JsonnxBackend(Backend):
    """Brings the workers of a group together."""

    def on_training_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        assert isinstance(backend_config, JsonnxConfig)
        monitor = backend_config.monitor
        attempt = ray.get(monitor.start_attempt.remote())
        if attempt.error is not None:
            raise TrainingEnded
        try:
            places: list[WorkerPlace] = worker_group.execute(join, backend_config.checks)
        except ray.exceptions.RayTaskError as error:  # a worker that is lost raises another error, and Ray tries again
            _end(monitor, _node_error(error.cause if isinstance(error.cause, Exception) else error))
        missing = missing_error(places)
        if missing is not None:
            _end(monitor, missing)
        ray.get(monitor.put.remote(Event("attempt", (attempt.number, places))))
        addresses = [place.listener for place in places]
        worker_group.execute(set_rendezvous, Rendezvous(secrets.token_bytes(TOKEN_BYTES), addresses, attempt))


def _node_error(cause: Exception) -> Exception:
    message = f"a worker cannot run jsonnx: {type(cause).__name__}: {cause_of(cause)}"
    return UsageError("ray-node", message, "install the same version of jsonnx on all nodes")


class EndOnError(UserCallback):
    """Ends the training at an error that another attempt would meet again."""

    def __init__(self, monitor: Any) -> None:
        self._monitor = monitor

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        causes = {rank: _cause(error) for rank, error in worker_exceptions.items()}
        error = ray.get(self._monitor.lost.remote(causes))
        if error is not None:
            raise TrainingEnded


def _cause(error: Exception) -> str:
    lost = getattr(error, "health_check_failure", error)
    return "its process has ended" if isinstance(lost, ray.exceptions.RayActorError) else cause_of(error)


def _end(monitor: Any, error: Exception) -> NoReturn:
    ray.get(monitor.fail.remote(0, error))
    raise TrainingEnded
