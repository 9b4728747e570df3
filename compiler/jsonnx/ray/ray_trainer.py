"""Trainings on Ray from Python."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.diagnostics import UsageError
from ..core.system.optional_packages import require_package
from ..core.training_options import TrainingOptions
from ..pipeline.check.check import Spec, check_spec
from ..pipeline.run.run_names import default_run_folder
from ..pipeline.run.run_outcome import Outcome
from ..render.results.progress import Verbosity, progress_display
from .workers import RayWorkers, Scaling

if TYPE_CHECKING:
    from ray.train import RunConfig, ScalingConfig


@dataclass(frozen=True)
class RayResult:
    """The result of a training: what Ray's `Result` names, and the run."""

    outcome: Outcome
    """History, test metrics, and whether it was interrupted."""

    @property
    def path(self) -> Path:
        """The RUN folder, with checkpoints, weights and model."""
        return self.outcome.folder

    @property
    def metrics(self) -> dict[str, Any]:
        """The losses and metrics of the last epoch, and those on the test data as `test_NAME`."""
        tested = {f"test_{name}": metric for name, metric in self.outcome.test_metrics.items()}
        return {**self.outcome.history.last(), **tested}


class RayTrainer:
    """Trains a spec on the workers of a Ray cluster.

    The spec says into how many shards a batch is cut: `"training": {"distributed": {"shards": 8}}`. The weights do not
    depend on the number of workers, and are those of `jsonnx train` on one machine, bit for bit.
    """

    def __init__(
        self,
        spec: Spec,
        *,
        scaling_config: ScalingConfig | None = None,
        run_config: RunConfig | None = None,
        address: str | None = None,
        verbose: Verbosity = "auto",
        **options: Any,
    ) -> None:
        """`scaling_config` and `run_config` are Ray's; by default one worker, which is started again whenever it is
        lost. `options` are those of `jsonnx train` by their names in `TrainingOptions`: `output`, `resume`, `seed`.
        """
        require_package("ray", "ray", "distributed training")
        try:
            self._options = TrainingOptions(**options)
        except TypeError as error:
            raise UsageError("bad-option", f"an option of RayTrainer is wrong: {error}") from error
        self._spec, self._verbose = spec, verbose
        self._workers = RayWorkers(_scaling(scaling_config), address, run_config)

    def fit(self) -> RayResult:
        """Trains. Raises CompileError, FeedError, UsageError, and Diverged as `jsonnx train` reports them."""
        options = self._options
        checked = check_spec(self._spec, changes=options.changes, scale=options.scale)
        checked.require()
        given = options.output
        folder = Path(given) if given else default_run_folder(checked, options.resume, options.force).path
        with self._workers, progress_display(self._verbose) as display:
            outcome = self._workers.train(checked, folder, replace(options, output=str(folder)), callbacks=[display])
        return RayResult(outcome)


def _scaling(config: ScalingConfig | None) -> Scaling:
    if config is None:
        return Scaling(1, 1)
    workers = config.num_workers
    least, most = workers if isinstance(workers, tuple) else (workers, workers)
    cpus = int((config.resources_per_worker or {}).get("CPU", 1))
    return Scaling(least, most, max(1, cpus), config)
