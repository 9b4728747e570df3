"""Runs the trials of a search on a Ray cluster.

Each run of a trial is an actor, which Ray places and which starts the process that a run has on one machine, too. A run
on several workers is a process of this machine, which waits for the workers that it has started. Ray Tune is not used:
it proposes, prunes and resumes trials in its own way, and a search must propose the same on one machine and a cluster.
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
from ..core.system.cpu_count import thread_count
from ..hyperparameter_search.trials import FAILED, Curve
from ..pipeline.run_folder.run_info import INTERRUPTED
from ..pipeline.sweep.trial_host import StartedRun
from ..pipeline.sweep.trial_process import TrialProcess
from ..pipeline.sweep.trial_run import TrialJob, TrialResult
from .cluster import OWN_OBJECT_STORE_BYTES, Cluster, capacity, cause_of
from .trial_actor import TrialActor, TrialStatus
from .trial_checks import check_nodes

SECONDS_BETWEEN_REQUESTS = 0.1
MAX_KILL_SECONDS = 10.0
"""Seconds in which an actor must have ended its process."""
MAX_WORKERS_END_SECONDS = 20.0
"""Seconds in which the workers of a run must have ended."""
TRIAL_MODULE = "jsonnx.ray.trial_main"
MAX_RESTARTS = 3
"""Restarts of a run whose worker was lost: then the trial has failed."""


class RayTrialHost:
    """Runs trials on a Ray cluster: `jsonnx.sweep(..., host=RayTrialHost())`."""

    def __init__(
        self, address: str | None = None, cpus_per_trial: float | None = None, workers_per_trial: int | None = None
    ) -> None:
        """`address` is that of a running cluster; without one, the cluster of RAY_ADDRESS, or else one that is started
        for the search. A trial reserves `cpus_per_trial`, by default as many as it has threads.

        With `workers_per_trial`, each trial is a distributed training, to the same bits as on one machine; its CPUs are
        divided among its workers, and its threads are those of each worker.
        """
        self._address, self._workers = address, workers_per_trial
        self._cpus = None if cpus_per_trial is None else cpus_per_trial / (workers_per_trial or 1)
        if workers_per_trial is not None and self._cpus is not None:
            self._cpus = max(1, int(self._cpus))
        self._cluster: Cluster | None = None
        self._report: Callable[[str], None] = lambda text: None

    @property
    def cluster(self) -> Cluster:
        """The cluster, which is connected when it is first needed. Raises UsageError."""
        if self._cluster is None:
            own = {"num_cpus": thread_count(), "include_dashboard": False}
            own["object_store_memory"] = OWN_OBJECT_STORE_BYTES
            self._cluster = Cluster("a search on Ray", self._address, own)
        return self._cluster

    def threads_per_trial(self, jobs: int) -> int:
        """The largest number of threads with which so many trials run at the same time; at least 1."""
        if self._cpus is not None:
            return max(1, int(self._cpus))
        nodes, processes = self.cluster.nodes, jobs * (self._workers or 1)
        most = max((node.cpus for node in nodes), default=1)
        return next((cpus for cpus in range(most, 1, -1) if capacity(nodes, cpus) >= processes), 1)

    def prepare(self, job: TrialJob, on_status: Callable[[str], None]) -> None:
        """Raises UsageError if the cluster has no room for a trial, CompileError if a node does not see the files, or
        the spec cannot be trained by several workers."""
        self._report, cpus = on_status, self._cpus_of(job)
        if self._workers is not None:
            from .workers import shard_count

            shard_count(job.checked_spec())
        nodes = self.cluster.nodes
        able = [node for node in nodes if node.cpus >= cpus]
        trials = capacity(able, cpus) // (self._workers or 1)
        if not trials:
            needed = f"{cpus:g} CPUs that a trial needs"
            if self._workers is not None:
                needed = f"{self._workers} times {cpus:g} CPUs that the workers of a trial need"
            sizes = ", ".join(str(node.cpus) for node in nodes)
            help = "give each trial fewer --threads, --cpus-per-trial or --workers-per-trial"
            raise UsageError("ray-cluster", f"the cluster lacks the {needed}; its nodes have {sizes}", help)
        check_nodes(self.cluster, able, job)
        count = f"{len(able)} {'node' if len(able) == 1 else 'nodes'}"
        each = f"each trial has {cpus:g}" if self._workers is None else f"each of {self._workers} workers has {cpus:g}"
        on_status(f"Ray runs up to {trials} trials at the same time on {count}; {each} CPUs")

    def start(self, number: int, job: TrialJob, log_file: Path) -> StartedRun:
        ray, cpus = self.cluster.ray, self._cpus_of(job)
        if self._workers is not None:
            address = ray.get_runtime_context().gcs_address
            return WorkersRun(TrialProcess(job, log_file, (TRIAL_MODULE, address, str(self._workers), f"{cpus:g}")))
        actor_class = ray.remote(TrialActor).options(
            num_cpus=cpus, num_gpus=_gpus(job), max_restarts=0, max_task_retries=0
        )
        folder = os.getcwd()
        return RayRun(ray, number, lambda: actor_class.remote(number, job, folder, log_file), self._report)

    def close(self) -> None:
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None

    def _cpus_of(self, job: TrialJob) -> float:
        """The CPUs that a process of a trial reserves."""
        return self._cpus if self._cpus is not None else job.training.threads or 1


def _gpus(job: TrialJob) -> int:
    """The number of GPUs that a trial reserves."""
    provider = PROVIDERS.get(job.training.provider)
    return int(provider is not None and provider.device == "cuda")


class WorkersRun:
    """A run on several workers, which Ray starts again if one is lost."""

    def __init__(self, process: TrialProcess) -> None:
        self.curve, self.poll, self.tell_to_end = process.curve, process.poll, process.tell_to_end
        self._process = process

    def kill(self) -> None:
        """Has the workers end, which write to the RUN folder, before the process that has started them."""
        self._process.end(MAX_WORKERS_END_SECONDS)


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
