"""The workers of a Ray cluster that train."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

from ..backend import package_version
from ..core.callback import Callback
from ..core.diagnostics import CompileError
from ..core.system.cpu_count import thread_count
from ..core.system.optional_packages import require_package
from ..core.training_options import TrainingOptions
from ..pipeline.check.check import CheckedSpec
from ..pipeline.run.lock_file import LockedRun
from ..pipeline.run.run_inputs import input_files
from ..pipeline.run.run_outcome import Outcome
from ..pipeline.run.run_warnings import Warn, no_warning
from ..pipeline.run.training_run import ProviderPlacement, train
from ..runtime.session.weight_files import WeightsReport
from ..runtime.sharding.shard_group import NO_SHARDS, NO_SHARDS_HELP
from .cluster import OWN_OBJECT_STORE_BYTES, Cluster, capacity
from .node_checks import NodeChecks, file_size
from .progress import Progress

RAY_SETTINGS = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "15",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Environment variables: how often Ray's controller looks at the workers; how long it waits for the CPUs of a node that
was just lost, before it counts the CPUs again; no hint about GPUs at the start."""
OWN_RAY_SETTINGS = {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}
"""For a cluster that is started for a training: nobody takes its only node away."""
NODE_LABEL = "ray.io/node-id"
PURPOSE = "distributed training"
"""What Ray is needed for, in messages."""


@dataclass(frozen=True)
class Scaling:
    """How many workers train, and with how many CPUs each."""

    least: int
    most: int
    """0: the training runs in this process, without Ray."""
    cpus_per_worker: int | None = None
    """None: the CPUs of a node are divided among the workers on it."""
    config: Any = None
    """Ray's ScalingConfig that says the same, and what else Ray shall know."""

    @property
    def num_workers(self) -> int | tuple[int, int]:
        return self.least if self.least == self.most else (self.least, self.most)


class RayWorkers:
    """Trains on a Ray cluster, which is connected when it is first needed."""

    def __init__(
        self,
        scaling: Scaling,
        address: str | None = None,
        run_config: Any = None,
        on_status: Callable[[str], None] = lambda text: None,
    ) -> None:
        """`address` is that of a running cluster; None stands for that of RAY_ADDRESS, or else for a cluster that is
        started for the training. `run_config` is Ray's RunConfig."""
        self._scaling, self._address, self._run_config, self._on_status = scaling, address, run_config, on_status
        self._cluster: Cluster | None = None

    def __enter__(self) -> RayWorkers:
        return self

    def __exit__(self, *error: object) -> None:
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None

    def train(
        self,
        checked: CheckedSpec,
        folder: Path,
        options: TrainingOptions,
        *,
        lock: LockedRun | None = None,
        callbacks: Iterable[Callback] = (),
        warn: Warn = no_warning,
        on_weights_resolved: Callable[[WeightsReport], None] = lambda report: None,
        on_resumed: Callable[[list[str]], None] = lambda lines: None,
        on_placement: Callable[[ProviderPlacement | None], None] = lambda placement: None,
    ) -> Outcome:
        """Trains as `pipeline.run.training_run.train` does, to the same bits for every number of workers.

        `options.changes` and `options.scale` are those of `checked`. The callbacks are called in this process, to show
        the progress. Raises also UsageError `ray-node` and `worker-lost`.
        """
        shards = shard_count(checked)
        if not self._scaling.most:
            ordinary = partial(train, checked, folder, options, lock=lock, callbacks=callbacks, warn=warn)
            return ordinary(on_weights_resolved=on_weights_resolved, on_resumed=on_resumed, on_placement=on_placement)
        cluster = self._connected()
        cpus = self._cpus_per_worker(cluster)
        self._check_capacity(cluster, cpus)
        threads = options.threads or cpus
        progress = Progress(
            list(callbacks), warn, on_weights_resolved, on_resumed, on_placement, self._on_status, threads
        )
        from .launch import launch

        return launch(
            cluster,
            self._scaling_config(cluster, cpus),
            self._run_config,
            NodeChecks(_files(checked, options), package_version()),
            progress,
            checked=checked,
            folder=folder,
            options=options,
            lock=lock,
            shards=shards,
            cpus_per_worker=cpus,
        )

    def _connected(self) -> Cluster:
        if self._cluster is None:
            for name, value in RAY_SETTINGS.items():  # which Ray may read when it is imported
                os.environ.setdefault(name, value)
            require_package("ray", "ray", PURPOSE)  # before the status, which says that Ray starts
            most, cpus = self._scaling.most, self._scaling.cpus_per_worker or 1
            own = {"num_cpus": max(thread_count(), most * cpus), "include_dashboard": False}
            own["object_store_memory"] = OWN_OBJECT_STORE_BYTES
            address = self._address or os.environ.get("RAY_ADDRESS")
            self._on_status(f"connects to the Ray cluster {address}" if address else "starts Ray on this machine")
            self._cluster = Cluster(PURPOSE, self._address, own)
            if self._cluster.is_own:
                for name, value in OWN_RAY_SETTINGS.items():
                    os.environ.setdefault(name, value)
        return self._cluster

    def _cpus_per_worker(self, cluster: Cluster) -> int:
        """The CPUs that a worker has if they are divided evenly, on the node that has the fewest."""
        if self._scaling.cpus_per_worker is not None:
            return self._scaling.cpus_per_worker
        cpus = [min(node.cpus, thread_count()) if cluster.is_own else node.cpus for node in cluster.nodes if node.cpus]
        return max(1, min(cpus, default=1) // ceil(self._scaling.most / max(1, len(cpus))))

    def _check_capacity(self, cluster: Cluster, cpus: int) -> None:
        """Tells that workers wait for CPUs: they may come, if other programs end or the cluster grows."""
        if capacity(cluster.nodes, cpus) < self._scaling.least:
            total = sum(node.cpus for node in cluster.nodes)
            self._on_status(
                f"waits until the cluster has {self._scaling.least} times {cpus} CPUs; it has {total} in all"
            )

    def _scaling_config(self, cluster: Cluster, cpus: int) -> Any:
        """Ray's configuration. The first worker, which writes the RUN folder, is on the node of this process if that
        takes workers."""
        if self._scaling.config is not None:
            return self._scaling.config
        from ray.train import ScalingConfig

        own, others = cluster.own_node, self._scaling.most - 1
        is_pinned = own is not None and own.cpus >= cpus and len(cluster.nodes) > 1
        labels = [{NODE_LABEL: own.id}, *[{}] * others] if is_pinned and own is not None else None
        return ScalingConfig(
            num_workers=self._scaling.num_workers, resources_per_worker={"CPU": cpus}, label_selector=labels
        )


def shard_count(checked: CheckedSpec) -> int:
    """The number of shards into which the spec divides a batch. Raises CompileError `not-distributed`."""
    training = checked.network.training
    if training is None or training.distributed is None:
        report = checked.new_report()
        report.add("not-distributed", ("training",), NO_SHARDS, help=NO_SHARDS_HELP)
        raise CompileError(report)
    return training.distributed.shards


def _files(checked: CheckedSpec, options: TrainingOptions) -> tuple[tuple[str, int | None], ...]:
    """The files of a training that this machine has, with their sizes."""
    paths = dict.fromkeys(os.path.abspath(path) for path in input_files(checked, options))
    return tuple((path, size) for path in paths if (size := file_size(path)) is not None)
