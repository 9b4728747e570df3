"""Lowers a layer that is called with a mask."""

from __future__ import annotations

from typing import Any

from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Graph
from jsonnx.lowering.lower import check_promised_type
from support.harness import make_layer


def masked(spec: dict, *inputs: tuple[Any, ...], real: str = "float32", training: bool = False) -> Graph:
    """Returns the graph of a layer with inputs `x0`, `x1`, ... of these shapes without batch.

    The last input, `mask` [batch, time], has real numbers: 1 for steps that count, 0 for masked steps.
    """
    layer, g = make_layer(spec), Builder(training=training, float_dtype=real)
    values = [g.input(f"x{index}", TensorType(real, (BATCH, *shape))) for index, shape in enumerate(inputs)]
    mask = g.cast(g.input("mask", TensorType(real, (BATCH, inputs[0][0]))), "bool")
    types = layer.infer(*(value.type for value in values))
    with g.scope("layer"):
        results = layer.run_batch_major(g, values[0], values[1:], mask)
    results = results if isinstance(results, tuple) else (results,)
    names = ["layer", *(f"layer.{name}" for name in layer.output_names())]
    for value, type in zip(results, types if isinstance(types, tuple) else (types,), strict=True):
        check_promised_type(value, type, "layer")
    return g.graph(dict(zip(names, results, strict=True)))
