"""The public Trainer, with what training itself does not need: RUN folders, gradients, and its table in a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.diagnostics import suggestion
from ...core.html_table import METRIC_TITLES, html_table, metric_rows
from ...core.quantities import count_text
from ...core.training_options import TrainingOptions
from ...data.samples.array_arguments import DataArgument
from ...data.samples.dataset import Dataset
from ...lowering.cost import cost_table
from ...render.results.curves import metric_curve
from ...runtime.execution.history import History
from ...runtime.fit.fit_data import dataset_of
from ..compile.graphs import costed_graph
from ..compile.model import layer_table
from ..train.input_gradients import input_gradients
from ..train.trainer import Trainer as SpecTrainer
from ..train.weight_gradients import batch_gradients

if TYPE_CHECKING:
    import numpy as np


OTHER_NAMES = {"lr": "learning_rate"}
"""Our attributes, by the names in other frameworks."""


class Trainer(SpecTrainer):
    __doc__ = SpecTrainer.__doc__

    def _recorded_fit(
        self, run: Path, resume: bool, samples: Mapping[str, Any], arguments: Mapping[str, Any], callbacks: Any
    ) -> History:
        from .recorded_fit import recorded_fit  # which imports what a fit without a folder does not need

        options = TrainingOptions(resume=resume, **self._recorded_options)
        return recorded_fit(self, self._checked, run, options, samples, callbacks, arguments).history

    def gradients(
        self,
        x: DataArgument | Dataset,
        y: DataArgument = None,
        sample_weight: DataArgument = None,
        *,
        inputs: bool = False,
        output: str | None = None,
        unit: int | Sequence[int] | None = None,
    ) -> dict[str, np.ndarray]:
        """The gradients of the loss of one batch: float32 arrays in the shapes of the weights, by their names.

        They equal the gradients of the next `step`, before clipping. Weights that are not trained or that the loss
        does not depend on have none. No weight and no other state changes. Raises FeedError for data that do not fit.

        With `inputs`, the gradients are by the inputs, in their shapes: with `y`, of the loss that `evaluate` computes;
        without, of the `output` (the only one by default), summed over the samples and its last axis, or of one `unit`
        of that axis, an index for all samples or one for each. For an input without real numbers, they are by the first
        real values computed from it, under the names of their layers: the vectors of an Embedding for words or indices.
        """
        if not inputs:
            if output is not None or unit is not None:
                raise TypeError("output and unit choose what is differentiated by inputs: give inputs=True, too")
            return batch_gradients(self._checked, self.plan_trainer, dataset_of(self.plan, x, y, sample_weight))
        return input_gradients(self._checked, self.plan_trainer, (x, y, sample_weight), output, unit)

    def _repr_html_(self) -> str:
        """The table that a notebook shows: the layers of an untrained network, then the metrics of the last fit."""
        if not self.history.history:
            costs = cost_table(self._checked.require(), costed_graph(self._checked))
            return layer_table(f"{'' if self.steps else 'Untrained '}{repr(self).strip('<>')}", costs)
        rows = metric_rows(self.history.history)
        curves = [metric_curve(self.history.history[row[0]]) for row in rows]
        shown = [[*row, line] for row, line in zip(rows, curves, strict=True)]
        return html_table(repr(self).strip("<>"), (*METRIC_TITLES, "by epoch"), shown)

    def __reduce__(self) -> Any:
        raise TypeError(
            "a Trainer cannot be pickled or copied: it has sessions of onnxruntime. save_checkpoint and "
            "load_checkpoint keep its state, weights() are arrays, and model() is what a prediction needs"
        )

    def __setattr__(self, name: str, value: object) -> None:
        """Raises AttributeError for an unknown attribute, which would have no effect. Subclasses may have more."""
        if type(self) is Trainer and name not in SpecTrainer.__annotations__ and not hasattr(Trainer, name):
            public = [known for known in (*SpecTrainer.__annotations__, *dir(Trainer)) if not known.startswith("_")]
            help = suggestion(OTHER_NAMES.get(name, name), public)
            raise AttributeError(f"a Trainer has no attribute {name!r}" + (f": {help}" if help else ""))
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        training = self.plan.training
        return (
            f"<Trainer of {self._checked.network.name!r}: {training.optimizer.type_name} with learning rate"
            f" {self.learning_rate:.6g}, {count_text(self.steps, 'step')} done, provider {self.provider}>"
        )
