"""Runs the trials of a search on a Ray cluster.

Each run of a trial is an actor, which Ray places and which starts the process that a run has on one machine, too. Ray
Tune is not used: it has trials proposed, pruned and resumed by itself, and a search must propose the same on one
machine and on a cluster.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.diagnostics import UsageError
from ..core.providers.known_providers import PROVIDERS
from ..hyperparameter_search.trials import FAILED, Curve
from ..pipeline.run_folder.run_info import INTERRUPTED
from ..pipeline.sweep.trial_run import TrialJob, TrialResult
from .cluster import Cluster, capacity, cause_of
from .trial_actor import TrialActor, TrialStatus
from .trial_checks import check_nodes

SECONDS_BETWEEN_REQUESTS = 0.1
MAX_KILL_SECONDS = 10.0
"""Seconds in which an actor must have ended its process."""
MAX_RESTARTS = 3
"""Restarts of a run whose worker was lost: then the trial has failed."""


class RayTrialHost:
    """Runs trials on a Ray cluster: `jsonnx.sweep(..., host=RayTrialHost())`."""

    def __init__(self, address: str | None = None, cpus_per_trial: float | None = None) -> None:
        """`address` is that of a running cluster; without one, the cluster of RAY_ADDRESS, or else one that is started
        for the search. A trial reserves `cpus_per_trial`, by default as many as it has threads."""
        self._address, self._cpus_per_trial = address, cpus_per_trial
        self._cluster: Cluster | None = None
        self._report: Callable[[str], None] = lambda text: None

    @property
    def cluster(self) -> Cluster:
        """The cluster, which is connected when it is first needed. Raises UsageError."""
        if self._cluster is None:
            self._cluster = Cluster("a search on Ray", self._address)
        return self._cluster

    def threads_per_trial(self, jobs: int) -> int:
        """The largest number of threads with which so many trials run at the same time; at least 1."""
        if self._cpus_per_trial is not None:
            return max(1, int(self._cpus_per_trial))
        nodes = self.cluster.nodes
        most = max((node.cpus for node in nodes), default=1)
        return next((cpus for cpus in range(most, 1, -1) if capacity(nodes, cpus) >= jobs), 1)

    def prepare(self, job: TrialJob, on_status: Callable[[str], None]) -> None:
        """Raises UsageError if no node has the CPUs of a trial, CompileError if a node does not see the files."""
        self._report, cpus = on_status, self._cpus(job)
        nodes = self.cluster.nodes
        able = [node for node in nodes if node.cpus >= cpus]
        if not able:
            most = max((node.cpus for node in nodes), default=0)
            message = f"no node of the cluster has the {cpus:g} CPUs that a trial needs; the largest one has {most}"
            raise UsageError("ray-cluster", message, "give each trial fewer --threads or --cpus-per-trial")
        check_nodes(self.cluster, able, job)
        count = f"{len(able)} {'node' if len(able) == 1 else 'nodes'}"
        on_status(f"Ray runs up to {capacity(able, cpus)} trials at the same time on {count}, {cpus:g} CPUs for each")

    def start(self, number: int, job: TrialJob, log_file: Path) -> RayRun:
        ray = self.cluster.ray
        actor_class = ray.remote(TrialActor).options(
            num_cpus=self._cpus(job), num_gpus=_gpus(job), max_restarts=0, max_task_retries=0
        )
        folder = os.getcwd()
        return RayRun(ray, number, lambda: actor_class.remote(number, job, folder, log_file), self._report)

    def close(self) -> None:
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None

    def _cpus(self, job: TrialJob) -> float:
        return self._cpus_per_trial if self._cpus_per_trial is not None else job.training.threads or 1


def _gpus(job: TrialJob) -> int:
    """The number of GPUs that a trial reserves."""
    provider = PROVIDERS.get(job.training.provider)
    return int(provider is not None and provider.device == "cuda")


@dataclass(eq=False)
class RayRun:
    """A run of a trial in an actor. A run whose worker is lost goes on from its last checkpoint in another one."""

    ray: Any
    number: int
    make_actor: Callable[[], Any]
    report: Callable[[str], None]
    restarts: int = 0
    _curve: Curve = field(default_factory=list)
    _node: str | None = None
    """The address of the actor's node; None until the actor has answered."""
    _answer: Any = None
    """The answer that is awaited."""
    _next_request: float = 0.0
    _is_told_to_end: bool = False
    _end: TrialResult | None = None
    """The result of a run that has ended without one of its process."""

    def __post_init__(self) -> None:
        self._actor = self.make_actor()

    def curve(self) -> Curve:
        return self._curve

    def poll(self) -> TrialResult | None:
        if self._end is not None:
            return self._end
        try:
            status = self._status()
        except self.ray.exceptions.ActorUnavailableError:  # for a while: it is lost, or it answers again
            return None
        except self.ray.exceptions.RayError as error:
            return self._restarted(f"its worker{self._place()} was lost: {cause_of(error)}")
        if status is None:
            return None
        self._node, self._curve = status.node, status.curve or self._curve
        if status.result is None:
            return None
        if status.result.state == INTERRUPTED and not self._is_told_to_end:
            return self._restarted(f"a signal has ended its process{self._place()}")
        self._kill_actor()
        return status.result

    def tell_to_end(self) -> None:
        self._is_told_to_end = True
        if self._node is None:
            self._kill_actor()
            self._end = TrialResult(INTERRUPTED, curve=self._curve)
        else:
            self._actor.tell_to_end.remote()

    def kill(self) -> None:
        if self._node is not None:
            with suppress(self.ray.exceptions.RayError):
                self.ray.get(self._actor.end.remote(), timeout=MAX_KILL_SECONDS)
        self._kill_actor()

    def _status(self) -> TrialStatus | None:
        """What the actor has answered to the last request; None if it has not, or none was due."""
        if self._answer is None:
            if time.monotonic() < self._next_request:
                return None
            self._answer = self._actor.status.remote()
        if not self.ray.wait([self._answer], timeout=0)[0]:
            return None
        answer, self._answer = self._answer, None
        self._next_request = time.monotonic() + SECONDS_BETWEEN_REQUESTS
        return self.ray.get(answer)

    def _restarted(self, reason: str) -> TrialResult | None:
        """Starts another actor; a result if the run may not be started again."""
        self._kill_actor()
        if self._is_told_to_end:
            return TrialResult(INTERRUPTED, curve=self._curve)
        if self.restarts == MAX_RESTARTS:
            return TrialResult(FAILED, curve=self._curve, reasons=[f"{reason}; it was restarted {MAX_RESTARTS} times"])
        self.restarts += 1
        self.report(f"trial {self.number}: {reason}; restart {self.restarts} of {MAX_RESTARTS}")
        self._answer, self._node = None, None
        self._actor = self.make_actor()
        return None

    def _kill_actor(self) -> None:
        with suppress(self.ray.exceptions.RayError):
            self.ray.kill(self._actor)

    def _place(self) -> str:
        return f" on {self._node}" if self._node else ""
