"""The public Trainer: a Trainer whose fit may write a RUN folder, and which a notebook shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.html_table import METRIC_TITLES, html_table, metric_rows
from ...core.training_options import TrainingOptions
from ...lowering.cost import cost_table
from ...render.results.curves import metric_curve
from ...runtime.execution.history import History
from ..compile.graphs import costed_graph
from ..compile.model import layer_table
from ..train.trainer import Trainer as SpecTrainer


class Trainer(SpecTrainer):
    __doc__ = SpecTrainer.__doc__

    def _recorded_fit(
        self, run: Path, resume: bool, samples: Mapping[str, Any], arguments: Mapping[str, Any], callbacks: Any
    ) -> History:
        from .recorded_fit import recorded_fit  # which imports what a fit without a folder does not need

        options = TrainingOptions(resume=resume, **self._recorded_options)
        return recorded_fit(self, self._checked, run, options, samples, callbacks, arguments).history

    def _repr_html_(self) -> str:
        """The table that a notebook shows: the layers of an untrained network, then the metrics of the last fit."""
        if not self.history.history:
            rows = cost_table(self._checked.require(), costed_graph(self._checked))
            return layer_table(f"{'' if self.steps else 'Untrained '}{repr(self).strip('<>')}", rows)
        rows = metric_rows(self.history.history)
        curves = [metric_curve(self.history.history[row[0]]) for row in rows]
        shown = [[*row, line] for row, line in zip(rows, curves, strict=True)]
        return html_table(repr(self).strip("<>"), (*METRIC_TITLES, "by epoch"), shown)

    def __reduce__(self) -> Any:
        raise TypeError(
            "a Trainer cannot be pickled or copied: it has sessions of onnxruntime. save_checkpoint and "
            "load_checkpoint keep its state, weights() are arrays, and model() is what a prediction needs"
        )
