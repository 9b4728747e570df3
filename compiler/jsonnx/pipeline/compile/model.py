"""A compiled model, as `jsonnx.compile` returns it."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...backend import (
    QUANTIZATION,
    ModelWriter,
    needs_metadata,
    require_one_message,
    to_loadable,
    to_model_writer,
    verify_model,
    write_model,
    writer_of_proto,
)
from ...backend.metadata import NEEDS
from ...core.files.loadable_model import LoadableModel
from ...core.html_table import html_table
from ...core.providers.known_providers import PLAIN_TARGET
from ...core.signature.thresholds import Threshold
from ...core.types import TensorType
from ...frontend.network import Network
from ...ir import Graph
from ...ir.cost import MICROSOFT_DOMAIN, onnxruntime_ops
from ...lowering.cost import LayerCost, cost_table
from ...lowering.dropped_layers import dropped_layers
from ...passes.canonicalize import canonicalize
from ...passes.constant_folding import bind_weights
from ...passes.inference import QUANTIZATION_PASSES, optimize_for_inference
from ..check.check import CheckedSpec
from .labels_file import labels_json
from .target_forms import write_for_target

if TYPE_CHECKING:
    import numpy as np
    import onnx

    from ...runtime.session.session import Session
    from ...runtime.session.weight_files import WeightsReport

GZIP_WINDOW_BITS = 16 + zlib.MAX_WBITS
"""The window of zlib's compressor, in bits, plus 16 for the format of gzip."""


def layer_table(caption: str, rows: Sequence[LayerCost]) -> str:
    """The table of layers that a notebook shows."""
    cells = [[row.name, row.type, ", ".join(map(str, row.outputs)), f"{row.parameters:,}"] for row in rows]
    return html_table(caption, ("layer", "type", "output", "parameters"), cells)


class Model:
    """An inference model with its weights, as standard ONNX.

    `weights` are the weights of the spec's layers, read-only; the ONNX file may contain them folded into other
    constants. `weights_report` is the report on loaded weights; None if all weights were drawn.
    """

    def __init__(
        self,
        writer: ModelWriter,
        checked: CheckedSpec,
        graph: Graph,
        weights: Mapping[str, np.ndarray],
        report: WeightsReport | None = None,
        input_types: Mapping[str, TensorType] = {},
        optimized_graph: Graph | None = None,
        target: str = PLAIN_TARGET,
        thresholds: Mapping[str, Threshold] = {},
    ) -> None:
        self.weights, self.weights_report = dict(weights), report
        for array in self.weights.values():
            array.flags.writeable = False
        self._writer, self._checked, self._graph = writer, checked, graph
        self._input_types, self._thresholds = input_types, thresholds
        self.optimized_graph = graph if optimized_graph is None else optimized_graph
        """The graph of the model with its weights, before it was written for its target."""
        self.target = target
        """The execution provider that the model was compiled for."""

    @cached_property
    def proto(self) -> onnx.ModelProto:
        """The model as an ONNX message, as in the file. Raises UsageError `too-large` beyond 2 GiB."""
        require_one_message(self._writer)
        return self.writer.to_proto()

    @cached_property
    def quantizable_graph(self) -> Graph:
        """The graph of the model with its weights, in the form that quantizers are placed in."""
        return optimize_for_inference(canonicalize(bind_weights(self._graph, self.weights)), QUANTIZATION_PASSES)

    def in_floating_point(self) -> Model:
        """The model of the same weights without the rounding that they were trained with."""
        graph = optimize_for_inference(canonicalize(bind_weights(self._graph, self.weights)))
        return self.with_graph(graph, {})

    @cached_property
    def writer(self) -> ModelWriter:
        """What writes the model, with digests of its contents."""
        return self._writer.with_digests()

    def with_graph(self, graph: Graph, metadata: Mapping[str, str]) -> Model:
        """The model whose outputs another graph computes, in the form of the target, with further metadata."""
        written = write_for_target(graph, self.target)
        metadata = self._metadata_for(onnxruntime_ops(written), metadata)
        return self._with_writer(to_model_writer(written, name=self.network.name, metadata=metadata), graph)

    def with_proto(self, proto: onnx.ModelProto, metadata: Mapping[str, str]) -> Model:
        """The model in the form that another program has given it, with further metadata."""
        ops = sorted({node.op_type for node in proto.graph.node if node.domain == MICROSOFT_DOMAIN})
        proto.producer_name = self._writer.model.producer_name
        writer = writer_of_proto(proto, self._metadata_for(ops, metadata))
        return self._with_writer(writer, self.optimized_graph)

    def _metadata_for(self, ops: Sequence[str], further: Mapping[str, str]) -> dict[str, str]:
        """The metadata of this model and further ones, for another form with operators of onnxruntime."""
        of_form = (NEEDS, QUANTIZATION)
        own = {entry.key: entry.value for entry in self._writer.model.metadata_props if entry.key not in of_form}
        return own | needs_metadata(ops) | dict(further)

    def _with_writer(self, writer: ModelWriter, optimized_graph: Graph) -> Model:
        return Model(
            writer,
            self._checked,
            self._graph,
            self.weights,
            self.weights_report,
            self._input_types,
            optimized_graph,
            self.target,
            self._thresholds,
        )

    @property
    def checked(self) -> CheckedSpec:
        """The spec that was compiled."""
        return self._checked

    @property
    def network(self) -> Network:
        """The network that was compiled."""
        return self._checked.network

    @property
    def size_bytes(self) -> int:
        """The number of bytes of the ONNX file, and of the file with weights beside it."""
        return self.writer.size_bytes

    def gzip_bytes(self) -> int:
        """The number of bytes of the file after compression with gzip, as servers send it."""
        compressor = zlib.compressobj(wbits=GZIP_WINDOW_BITS)
        return sum(len(compressor.compress(part)) for part in self.writer.parts()) + len(compressor.flush())

    @property
    def opset(self) -> int:
        """The ONNX operator set of the file."""
        return next(item.version for item in self._writer.model.opset_import if item.domain in ("", "ai.onnx"))

    @property
    def inputs(self) -> dict[str, TensorType]:
        """Types by name, with named symbolic sizes; the first axis is `batch`."""
        return {**self._checked.network.inference_inputs, **self._input_types}

    @property
    def outputs(self) -> dict[str, TensorType]:
        """Types by name, as for `inputs`."""
        return self._checked.require().inference_outputs

    def to_bytes(self) -> bytes:
        """The bytes of the ONNX file: the same for the same spec, weights and version.

        Raises UsageError `too-large` beyond 2 GiB.
        """
        require_one_message(self._writer)
        return self.writer.to_bytes()

    def to_loadable(self) -> LoadableModel:
        """The model as onnxruntime loads it, which may be larger than 2 GiB."""
        return to_loadable(self._writer)

    def verify(self) -> None:
        """Runs ONNX' checker and strict shape inference on the model. A failure is a bug of jsonnx."""
        verify_model(self._writer.structure_proto())

    @property
    def labels_file(self) -> bytes | None:
        """The content of the labels file beside the model; None if it has neither labels nor thresholds."""
        return labels_json(self._checked, self._thresholds)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the ONNX file, atomically. Raises UsageError if it cannot be written.

        Labels and thresholds are also written beside it, to `NAME.labels.json`. The weights of a model beyond 2 GiB
        are in a file of their own, `NAME-DIGEST.data`.
        """
        write_model(self.writer, path, self.labels_file)

    def rows(self) -> list[LayerCost]:
        """One row a layer: name, type, output shape, parameters, multiply-adds."""
        return cost_table(self._checked.require(), self._graph)

    def summary(self) -> str:
        """The table of layers as text."""
        from ...render.networks.tables import summary_text

        return summary_text(self._checked.network, self.rows(), dropped=dropped_layers(self._checked.require()))

    def plot(self) -> Any:
        """Draws inputs and layers as a diagram. Returns matplotlib's axes.

        Raises UsageError without matplotlib, or if there are too many layers.
        """
        from .plot_network import plot_network

        return plot_network(self.rows(), self.inputs)

    def _repr_html_(self) -> str:
        """The table that a notebook shows and, with matplotlib, the diagram of a network that is not too large."""
        from .plot_network import diagram_html

        rows = self.rows()
        return layer_table(repr(self), rows) + diagram_html(rows, self.inputs)

    def __repr__(self) -> str:
        inputs, outputs = _types_text(self.inputs), _types_text(self.outputs)
        count = sum(array.size for array in self.weights.values())
        return f"<Model {self._checked.network.name!r}: {inputs} -> {outputs}; {count:,} parameters>"

    def session(self, provider: str = "cpu", **options: Any) -> Session:
        """Opens the model in onnxruntime. Raises UsageError if the provider is not available."""
        from ...runtime.session.session import Session

        return Session(self.to_loadable(), provider=provider, **options)


def _types_text(types: Mapping[str, TensorType]) -> str:
    return ", ".join(f"{name} {type}" for name, type in types.items())
