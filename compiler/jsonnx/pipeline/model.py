"""A compiled model: what `jsonnx.compile` answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..backend import ModelWriter, verify_model
from ..core.files import write_atomically
from ..core.types import TensorType
from ..ir import Graph
from ..lowering.cost import LayerCost, cost_table
from .check import CheckedSpec

if TYPE_CHECKING:
    import numpy as np
    import onnx

    from ..runtime.session import Session
    from ..runtime.weight_files import WeightsReport


class Model:
    """An inference model with its weights, standard ONNX.

    Its weights are those of the spec's layers, and not to be written to; in the ONNX file they may be
    folded into others.
    `weights_report` says what became of weights that it was given; None where all are drawn.
    """

    def __init__(
        self,
        draft: ModelWriter,
        checked: CheckedSpec,
        graph: Graph,
        weights: Mapping[str, np.ndarray],
        report: WeightsReport | None = None,
    ) -> None:
        self.weights, self.weights_report = dict(weights), report
        for array in self.weights.values():
            array.flags.writeable = False
        self._draft, self._checked, self._graph = draft, checked, graph

    @cached_property
    def proto(self) -> onnx.ModelProto:
        """The model as ONNX' own message."""
        return self._draft.to_proto()

    @property
    def inputs(self) -> dict[str, TensorType]:
        """Types by name, symbolic sizes named; the first axis is `batch`."""
        return self._checked.require().inputs

    @property
    def outputs(self) -> dict[str, TensorType]:
        return self._checked.require().outputs

    def to_bytes(self) -> bytes:
        """The ONNX file's bytes: the same for the same spec, weights and version."""
        return self._draft.to_bytes()

    def verify(self) -> None:
        """Hold the model against ONNX' checker and its strict shape inference: a failure is our fault."""
        verify_model(self._draft.structure_proto())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the ONNX file, whole or not at all. Raises UsageError where that cannot be done."""
        write_atomically(path, self.to_bytes())

    def rows(self) -> list[LayerCost]:
        """A row a layer: name, type, output shape, parameters, multiply-adds."""
        return cost_table(self._checked.require(), self._graph)

    def summary(self) -> str:
        """The table of layers as text."""
        from ..render.tables import summary_text

        return summary_text(self._checked.network, self.rows())

    def session(self, provider: str = "cpu", **options: Any) -> Session:
        """The model in onnxruntime. Raises UsageError where the provider is not there."""
        from ..runtime.session import Session

        return Session(self.to_bytes(), provider=provider, **options)
