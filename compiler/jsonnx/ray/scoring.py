"""Predictions for the rows of files on the workers of a Ray cluster."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.diagnostics import UsageError
from ..core.files.files import make_folders
from ..core.files.user_files import UserFiles
from ..pipeline.predict.parts_folder import CLUSTER_FOLDER, PartsFolder
from ..pipeline.predict.predict import Output, Reports, continuation_text, job_of, refuse_data_as_output
from ..pipeline.predict.predictor import PredictOptions, Predictor
from ..pipeline.run.trained_model import TrainedModel
from .cluster import Cluster, capacity

if TYPE_CHECKING:
    from ..data.files.input_stream import StreamPlace
    from .scoring_tasks import ScoringJob

SECONDS_BETWEEN_COUNTS = 0.5
FREE_CPUS = 1
"""CPUs that Ray Data needs beside its workers, to find which rows are done."""


@dataclass(frozen=True)
class ScoringWorkers:
    """The workers of a prediction."""

    count: int = 1
    cpus_per_worker: int = 1
    """The CPUs that each worker reserves, and its threads."""
    address: str | None = None
    """That of a running cluster; None: that of RAY_ADDRESS, or else one that is started for the prediction."""


def predict(
    model: str | os.PathLike[str],
    data: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    workers: int = 1,
    cpus_per_worker: int = 1,
    address: str | None = None,
    threshold: float | None = None,
    keep: Sequence[str] | None = (),
    force: bool = False,
) -> None:
    """Writes the predictions of a model for tables to a file (.csv, .jsonl or .parquet), or to a folder of parts.

    The file has the bytes that `jsonnx predict` writes, and appears when it is complete. Each row is predicted once,
    also after workers or this process have been killed: the same call goes on with the parts that are finished; with
    `force`, it starts anew. All nodes need the model, the data and the folder of the output at the same paths. `keep`
    names columns of the data; None stands for all. Raises UsageError, CompileError, FeedError.
    """
    path = Path(model)
    opened = TrainedModel.open(path)
    options = PredictOptions(threshold, keep if keep is None else tuple(keep), force=force)
    scoring_workers = ScoringWorkers(workers, cpus_per_worker, address)
    predict_on_ray(opened, os.fspath(data), os.fspath(output), options, scoring_workers, Reports(lambda text: None))


def predict_on_ray(
    model: TrainedModel,
    data: UserFiles,
    output: str | None,
    options: PredictOptions,
    workers: ScoringWorkers,
    reports: Reports,
) -> None:
    """Writes predictions as `pipeline.predict.predict` does, on the workers of a cluster."""
    target = _target(output, options)
    refuse_data_as_output(model, data, output)
    predictor = Predictor.of(model, data, options)
    rows = _require_rows(predictor, data)
    cluster = Cluster("predictions on Ray", workers.address, {"include_dashboard": False})
    try:
        _require_cpus(cluster, workers)
        job = job_of(model, predictor, options, "ray")
        folder = PartsFolder(target.path, target.format, target.is_folder, job)
        with folder.opened(options.force):
            folder.create()
            make_folders(folder.path / CLUSTER_FOLDER)
            _Scoring(model, rows, options, workers, target, folder, predictor, cluster, reports).run()
    finally:
        cluster.close()


@dataclass(frozen=True)
class _Scoring:
    """One prediction on a cluster."""

    model: TrainedModel
    data: str
    options: PredictOptions
    workers: ScoringWorkers
    target: Output
    folder: PartsFolder
    predictor: Predictor
    cluster: Cluster
    reports: Reports

    def run(self) -> None:
        from .scoring_tasks import gather, score

        columns = self._columns()
        sizes = list(self.predictor.stream.places())
        row_counts = [count for _, count in sizes]
        nodes, count, cpus = self.cluster.nodes, self.workers.count, self.workers.cpus_per_worker
        where = f"{len(nodes)} {'node' if len(nodes) == 1 else 'nodes'}"
        name = "worker" if count == 1 else "workers"
        self.reports.on_status(f"{sum(row_counts):,} rows on {count} {name} of {where}, {cpus} CPU for each")
        free = int(self.cluster.ray.available_resources().get("CPU", 0))
        if free < count * cpus + FREE_CPUS:
            self.reports.on_status(f"{free} CPUs of the cluster are free: waits for {count * cpus + FREE_CPUS}")
        job = self._job([place for place, _ in sizes], columns)
        parts = str(Path(os.path.abspath(self.folder.path)) / CLUSTER_FOLDER)
        try:
            with self._progress(Path(parts), row_counts):
                score(job, parts, count, cpus)
        except KeyboardInterrupt:
            self.reports.on_status(continuation_text(self.folder, _finished_rows(Path(parts), row_counts)))
            raise
        gather(Path(parts), self.folder, row_counts)
        self.folder.join(len(sizes), columns)

    def _job(self, places: Sequence[StreamPlace], columns: tuple[str, ...]) -> ScoringJob:
        from .scoring_tasks import ScoringJob

        return ScoringJob(
            os.path.abspath(self.model.path or ""),
            self.model.session.provider.name,
            dict(self.model.session.provider.options),
            self.model.verify,
            os.path.abspath(self.data) if os.path.lexists(self.data) else self.data,
            os.getcwd(),
            self.options,
            self.target.format.suffix,
            tuple(places),
            columns,
            self._files(),
        )

    def _columns(self) -> tuple[str, ...]:
        """The columns of the predictions: those of the first row."""
        first = next(self.predictor.parts())
        kept = {name: values[:1] for name, values in first.kept.items()}
        return self.predictor.predict(first._replace(samples=first.samples.subset(slice(1)), kept=kept)).names

    def _files(self) -> tuple[tuple[str, int | None], ...]:
        """The files that each node needs, by absolute paths, with their sizes."""
        names = [os.path.abspath(self.model.path or "")]
        names += [os.path.abspath(item.name) for item in self.predictor.stream.items]
        files = [(name, 0 if os.path.isdir(name) else os.path.getsize(name)) for name in names]
        return (*files, (os.path.abspath(self.folder.path), 0))

    @contextmanager
    def _progress(self, parts: Path, row_counts: Sequence[int]) -> Iterator[None]:
        """Counts the rows of finished parts while a block runs."""
        ends = threading.Event()

        def count() -> None:
            while not ends.wait(SECONDS_BETWEEN_COUNTS):
                self.reports.on_progress(_finished_rows(parts, row_counts))

        counter = threading.Thread(target=count, name="jsonnx-progress", daemon=True)
        counter.start()
        try:
            yield
        finally:
            ends.set()
            counter.join()


def _finished_rows(parts: Path, row_counts: Sequence[int]) -> int:
    """About as many rows as have been written, by the number of files: all parts but one have equally many."""
    return sum(row_counts[: sum(1 for _ in parts.glob("rows/*"))])


def _target(output: str | None, options: PredictOptions) -> Output:
    """The output. Raises UsageError unless it is written in parts."""
    target = Output.of(output, options) if output else None
    if target is None:
        message = "predictions on Ray are written as .csv, .jsonl or .parquet, or to a folder"
        raise UsageError("bad-option", message, "name such a file with -o, or a folder with / at its end")
    return target


def _require_rows(predictor: Predictor, data: UserFiles) -> str:
    """The data, whose rows can be divided among workers. Raises UsageError for others."""
    stream, model = predictor.stream, predictor.model
    reason = None
    if data == "-":
        reason = "standard input"
    elif stream.is_whole:
        reason = "data whose rows depend on one another: windows, or outputs as long as the longest sequence"
    elif stream.data is not None and stream.data.skips_damaged_files:
        reason = 'data of which damaged files are left out ("damaged": "skip"): their rows are not known beforehand'
    elif model.session.random_inputs:
        reason = "models with random inputs, whose numbers are drawn in the order of the rows"
    else:
        other = next((item.name for item in stream.items if not stream.has_chunks(item)), None)
        if other is not None:
            reason = f"{other!r}, which is not a table that is read by rows (.csv, .tsv, .jsonl, .parquet, .arrow)"
    if reason is not None or not isinstance(data, str):
        raise UsageError("bad-option", f"workers of a cluster cannot share {reason}", "leave out --distributed")
    return data


def _require_cpus(cluster: Cluster, workers: ScoringWorkers) -> None:
    """Raises UsageError `ray-cpus` if the workers would take all CPUs: Ray Data would wait for one without an end."""
    nodes = cluster.nodes
    total, cpus = sum(node.cpus for node in nodes), workers.cpus_per_worker
    most = min(capacity(nodes, cpus), (total - FREE_CPUS) // cpus)
    if workers.count <= most:
        return
    message = f"{workers.count} workers with {cpus} CPU each need {workers.count * cpus:,} CPUs and {FREE_CPUS} more"
    if most:
        help = f"choose --workers {most}" + (", or fewer --cpus-per-worker" if cpus > 1 else "")
    elif cpus == 1:
        help = "leave out --distributed, or start a cluster with more CPUs"
    elif not capacity(nodes, cpus):
        help = f"no node has {cpus} CPUs for a worker: choose fewer --cpus-per-worker"
    else:
        help = f"the workers may take {total - FREE_CPUS} CPUs: choose fewer --cpus-per-worker"
    raise UsageError("ray-cpus", f"{message} to feed them; the cluster has {total}", help)
