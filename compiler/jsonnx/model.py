"""A compiled model: what `jsonnx.compile` answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .backend import serialize, verify
from .graph import Graph
from .passes.cost import Row, cost_table
from .runtime.files import write_atomically
from .types import TensorType
from .validation import Checked

if TYPE_CHECKING:
    import numpy as np
    import onnx

    from .runtime.session import Session
    from .runtime.weights import WeightsReport


class Model:
    """An inference model with its weights, standard ONNX.

    `weights_report` says what became of weights that it was given; None where all are drawn.
    """

    def __init__(
        self,
        proto: onnx.ModelProto,
        checked: Checked,
        graph: Graph,
        weights: Mapping[str, np.ndarray],
        report: WeightsReport | None = None,
    ) -> None:
        self.proto, self.weights, self.weights_report = proto, dict(weights), report
        self._checked, self._graph = checked, graph

    @property
    def inputs(self) -> dict[str, TensorType]:
        """Types by name, symbolic sizes named; the first axis is `batch`."""
        return self._checked.sound.inputs

    @property
    def outputs(self) -> dict[str, TensorType]:
        return self._checked.sound.outputs

    def to_bytes(self) -> bytes:
        """The ONNX file's bytes: the same for the same spec, weights and version."""
        return serialize(self.proto)

    def verify(self) -> None:
        """Hold the model against ONNX' checker and its strict shape inference: a failure is our fault."""
        verify(self.proto)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the ONNX file, whole or not at all. Raises UsageError where that cannot be done."""
        write_atomically(path, self.to_bytes())

    def rows(self) -> list[Row]:
        """A row a layer: name, type, output shape, parameters, multiply-adds."""
        return cost_table(self._checked.sound, self._graph)

    def summary(self) -> str:
        """The table of layers as text."""
        from .render.tables import summary_text

        return summary_text(self._checked.network, self.rows())

    def session(self, provider: str = "cpu", **options: Any) -> Session:
        """The model in onnxruntime. Raises UsageError where the provider is not there."""
        from .runtime.session import Session

        return Session(self.to_bytes(), provider=provider, **options)
