"""What Ray Data runs for a prediction: a row for each part, which a worker predicts and a task writes to a file.

The number of a part is the id of Ray's checkpoints: a part that was written is not computed again. The file of a part
begins with its number, since Ray names the files.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.data import ActorPoolStrategy, DataContext, Datasource, ReadTask
from ray.data.block import BlockAccessor, BlockMetadata
from ray.data.checkpoint import CheckpointConfig
from ray.data.datasource import RowBasedFileDatasink
from ray.exceptions import RayError, RayTaskError

from ..backend import package_version
from ..core.diagnostics import CompileError, UsageError
from ..core.providers.known_providers import PROVIDERS
from ..data.files.input_stream import InputPart, StreamPlace
from ..data.samples.data_errors import FeedError
from ..pipeline.predict.parts_folder import PartsFolder
from ..pipeline.predict.prediction_files import WRITERS
from ..pipeline.predict.predictor import PredictOptions, Predictor
from ..pipeline.run.trained_model import TrainedModel
from .cluster import cause_of
from .node_checks import SHARED_FILES_HELP, NodeChecks

PART, CONTENT = "part", "content"
"""The columns of Ray's rows: the number of a part, and the file with its predictions."""
NUMBER_BYTES = 8
MAX_PARTS_PER_TASK = 8
"""Parts that follow one another, whose rows a worker reads in one pass."""
MIN_TASKS_PER_WORKER = 4
FILTER_BYTES = 64 << 20
"""Memory that Ray reserves for the numbers of parts that are done."""


@dataclass(frozen=True)
class ScoringJob:
    """What each worker predicts."""

    model: str
    provider: str
    provider_options: Mapping[str, str]
    verify: bool
    data: str
    working_folder: str
    """The folder that relative paths refer to."""
    options: PredictOptions
    suffix: str
    places: tuple[StreamPlace, ...]
    """Where each part begins."""
    columns: tuple[str, ...]
    """The columns of all parts."""
    files: tuple[tuple[str, int | None], ...]
    """The files that a node needs, with their sizes."""


def score(job: ScoringJob, folder: str, workers: int, cpus_per_worker: int) -> None:
    """Has the parts written that are not written yet. Raises the error of a worker, UsageError."""
    context = DataContext.get_current()
    settings = {
        "enable_progress_bars": False,
        "raise_original_map_exception": True,
        "checkpoint_config": _checkpoints(folder),
    }
    before = {name: getattr(context, name) for name in settings}
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    try:
        for name, value in settings.items():
            setattr(context, name, value)
        tasks = max(workers * MIN_TASKS_PER_WORKER, -(-len(job.places) // MAX_PARTS_PER_TASK))
        parts = ray.data.read_datasource(
            PartNumbers(len(job.places)),
            override_num_blocks=min(tasks, len(job.places)),
            **_without_cpus(ray.data.read_datasource),
        )
        predicted = parts.map_batches(
            Scorer,
            fn_constructor_args=(job, cpus_per_worker),
            compute=ActorPoolStrategy(size=workers),
            num_cpus=cpus_per_worker,
            num_gpus=1 if PROVIDERS[job.provider].device == "cuda" else None,
            batch_size=None,
        )
        predicted.write_datasink(PartFiles(os.path.join(folder, "rows")), **_without_cpus(predicted.write_datasink))
    except RayTaskError as error:
        if isinstance(error.cause, (CompileError, FeedError, UsageError)):
            raise error.cause from None
        raise UsageError("worker-lost", f"the prediction has failed: {cause_of(error)}") from error
    except RayError as error:
        raise UsageError("worker-lost", f"the prediction has failed: {cause_of(error)}") from error
    finally:
        for name, value in before.items():
            setattr(context, name, value)


def _without_cpus(function: Callable[..., Any]) -> dict[str, Any]:
    """Arguments for tasks that reserve no CPU: all but one may be those of workers. Ray names them by its version."""
    return {"num_cpus": 0} if "num_cpus" in signature(function).parameters else {"ray_remote_args": {"num_cpus": 0}}


def _checkpoints(folder: str) -> CheckpointConfig:
    config = CheckpointConfig(PART, os.path.join(folder, "checkpoints"), delete_checkpoint_on_success=False)
    config.checkpoint_actor_memory_bytes = FILTER_BYTES
    return config


def gather(folder: Path, parts: PartsFolder, row_counts: Sequence[int]) -> None:
    """Copies the files that tasks have written to the parts. Raises UsageError if one is missing."""
    found = set()
    for path in sorted(folder.glob("rows/*")):
        with open(path, "rb") as file:
            number, content = int.from_bytes(file.read(NUMBER_BYTES), "big"), file.read()
        if number not in found:
            parts.add_in_any_order(number, content)
        found.add(number)
    missing = sorted({*range(len(row_counts))} - found)
    if missing:
        first = sum(row_counts[: missing[0]]) + 1
        message = f"{len(missing):,} parts were not written to {str(folder)!r}, the first one from row {first:,} on"
        raise UsageError("ray-node", message, SHARED_FILES_HELP + "; then add --force")


class PartNumbers(Datasource):
    """The numbers of all parts."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def estimate_inmemory_data_size(self) -> int:
        return 8 * self._count

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        spans = np.array_split(np.arange(self._count), max(1, min(parallelism, self._count)))
        return [ReadTask(partial(_block, span), _metadata(len(span))) for span in spans]


def _block(span: np.ndarray) -> list[Any]:
    return [BlockAccessor.batch_to_block({PART: span})]


def _metadata(count: int) -> BlockMetadata:
    return BlockMetadata(num_rows=count, size_bytes=8 * count, input_files=None, exec_stats=None)


class PartFiles(RowBasedFileDatasink):
    """Writes each part to a file."""

    def write_row_to_file(self, row: Mapping[str, Any], file: Any) -> None:
        file.write(int(row[PART]).to_bytes(NUMBER_BYTES, "big"))
        file.write(row[CONTENT])


class Scorer:
    """A worker: predicts the rows of parts."""

    def __init__(self, job: ScoringJob, threads: int) -> None:
        self._job, self._threads = job, threads
        self._predictor: Predictor | None = None
        self._next: tuple[int, Iterator[InputPart]] | None = None
        """The number of the part behind the last one, and the parts from there on."""

    def __call__(self, batch: Mapping[str, np.ndarray]) -> Iterator[dict[str, Any]]:
        for number in batch[PART].tolist():
            predictions = self._open().predict(self._part(number))
            predictions = predictions.in_order(self._job.columns, number * self._open().part_rows)
            content = WRITERS[self._job.suffix](predictions)
            yield {PART: np.array([number]), CONTENT: np.array([content], object)}

    def _part(self, number: int) -> InputPart:
        if self._next is None or self._next[0] != number:
            self._next = number, self._open().parts(self._job.places[number])
        parts = self._next[1]
        part = next(parts)
        self._next = number + 1, parts
        return part

    def _open(self) -> Predictor:
        """The model and the data, which are opened once. Raises UsageError, CompileError."""
        if self._predictor is None:
            job = self._job
            missing = NodeChecks(job.files, package_version()).run()
            if missing is not None:
                node = ray.util.get_node_ip_address()
                raise UsageError("ray-node", f"node {node}: {missing}", SHARED_FILES_HELP)
            os.chdir(job.working_folder)
            model = TrainedModel.open(
                Path(job.model),
                job.provider,
                job.verify,
                provider_options=job.provider_options,
                threads=self._threads,
            )
            self._predictor = Predictor.of(model, job.data, job.options)
        return self._predictor
