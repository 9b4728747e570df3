"""Compares the gradients of the samples with those of onnx-ad, an independent implementation, in double precision.

onnx-ad differentiates the ONNX model of a sample's forward pass in training and its loss. Both run on ONNX' reference
implementation, since onnxruntime has no convolutions in double precision.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_ad
import pytest
from jsonnx.backend import to_model_proto
from jsonnx.gradient import GradientBuilder, gradients
from jsonnx.gradient.training_step import with_loss
from jsonnx.ir import Graph
from jsonnx.lowering.lower import lower
from jsonnx.passes.canonicalize import canonicalize
from jsonnx.passes.layout import propagate_transposes
from jsonnx.pipeline.check.check import check_spec
from jsonnx.tuning.cpu.gradient import CPU_GRADIENTS
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from support.elementwise_reference import ELEMENTWISE
from support.recurrent_reference import RECURRENT
from support.window_reference import WINDOWS

from samples import NAMES, batches, deterministic, our_trainer

BATCH = 4
"""Samples per batch; few, since the reference implementation is slow."""

TOLERANCE = 1e-10
"""Allowed error of a weight's gradient, relative to its greatest element."""

Arrays = dict[str, np.ndarray]


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_those_of_an_independent_implementation(name: str, record_property: Any) -> None:
    graph, feeds = loss_graph(deterministic(name)), draw_feeds(name)
    ours, theirs = our_gradients(graph, feeds), their_gradients(graph, feeds)
    assert ours.keys() == theirs.keys()
    errors = [np.abs(ours[name] - theirs[name]).max() / np.abs(theirs[name]).max() for name in ours]
    record_property("gradient", float(np.max(errors)))
    assert np.max(errors) < TOLERANCE


def loss_graph(spec: dict[str, Any]) -> Graph:
    """Returns the graph from inputs, targets and weights to the loss."""
    checked = check_spec(spec)
    assert checked.objective is not None
    targets = {name: _double(type) for name, type in checked.objective.targets.items()}
    forward = propagate_transposes(lower(checked.require(), training=True, float_dtype="float64"))
    graph = with_loss(forward, checked.objective._replace(targets=targets, metrics={}))
    return canonicalize(replace(graph, outputs={"loss": graph.outputs["loss"]}, updates={}))


def draw_feeds(name: str) -> Arrays:
    """Returns the first samples, their targets, and slightly perturbed initial weights."""
    rng = np.random.default_rng(0)
    trainer = our_trainer(name)
    x, y = next(batches(trainer))
    weights = {name: weight + 0.05 * rng.random(weight.shape) for name, weight in trainer.weights().items()}
    (source,), (output,) = trainer.plan.inputs, trainer.plan.outputs
    feeds = {source: x[:BATCH], f"{output}/target": y[:BATCH], **weights}
    return {name: array if array.dtype.kind == "i" else array.astype("float64") for name, array in feeds.items()}


def our_gradients(graph: Graph, feeds: Arrays) -> Arrays:
    g = GradientBuilder.extending(graph, float_dtype="float64", tuning=CPU_GRADIENTS)
    weights = trainable(graph)
    gradient_values = gradients(
        g, graph, {graph.outputs["loss"]: g.const(1.0)}, [graph.parameters[name] for name in weights]
    )
    results = evaluate(
        to_model_proto(g.graph({f"d/{name}": gradient_values[graph.parameters[name]] for name in weights})), feeds
    )
    return {name: results[f"d/{name}"] for name in weights}


def their_gradients(graph: Graph, feeds: Arrays) -> Arrays:
    weights = trainable(graph)
    forward = onnx.shape_inference.infer_shapes(with_batch(to_model_proto(graph)), strict_mode=True, data_prop=True)
    model = onnx_ad.unroll(onnx_ad.reverse(forward, inputs=weights, outputs=["loss"], layout="onnx"))
    gradient_values = evaluate(with_pads(model), {**feeds, "adj_loss": np.ones(1)})
    return {name: gradient_values[f"adj_{name}"][..., 0] for name in weights}


def trainable(graph: Graph) -> list[str]:
    return [name for name, weight in graph.parameters.items() if weight.trainable]


def with_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns the model for a fixed batch size, since onnx-ad needs the shapes of convolutions."""
    for value in model.graph.input:
        for size in value.type.tensor_type.shape.dim:
            if size.HasField("dim_param"):
                size.dim_value = BATCH
    return model


def with_pads(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replaces `output_shape` by `output_padding` in every ConvTranspose.

    onnx-ad 0.3.0 sets both `output_shape` and `pads` in the gradient of Conv, but ONNX ignores the pads in that case,
    so that the gradient of a strided Conv with uneven pads, such as "same" over an even size, is wrong.
    """
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    shapes = {value.name: [size.dim_value for size in value.type.tensor_type.shape.dim] for value in inferred}
    for node in model.graph.node:
        attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        if node.op_type == "ConvTranspose" and "output_shape" in attributes:
            reach = (np.array(shapes[node.input[1]][2:]) - 1) * attributes["dilations"]
            padded = attributes.pop("output_shape") + np.add(*np.split(np.array(attributes["pads"]), 2))
            attributes["output_padding"] = ((padded - reach - 1) % attributes["strides"]).tolist()
            del node.attribute[:]
            node.attribute.extend(onnx.helper.make_attribute(name, value) for name, value in attributes.items())
    return model


class OneHot(OpRun):
    """onnx.reference does not support a depth of shape [1]."""

    op_domain = ""

    def _run(self, indices: np.ndarray, depth: np.ndarray, values: np.ndarray, axis: int = -1) -> tuple[np.ndarray]:
        chosen = indices[..., None] == np.arange(depth.item())
        return (np.moveaxis(np.where(chosen, values[1], values[0]), -1, axis),)


def evaluate(model: onnx.ModelProto, feeds: Arrays) -> Arrays:
    input_names = {value.name for value in model.graph.input}
    evaluator = ReferenceEvaluator(model, new_ops=[*RECURRENT, *WINDOWS, *ELEMENTWISE, OneHot])
    results = evaluator.run(None, {name: array for name, array in feeds.items() if name in input_names})
    return dict(zip([value.name for value in model.graph.output], results, strict=True))


def _double(type: Any) -> Any:
    return type.with_dtype("float64") if type.dtype == "float32" else type
