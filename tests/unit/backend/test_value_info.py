"""Value info in the model, for shapes that ONNX cannot infer."""

from __future__ import annotations

from jsonnx.backend import to_model_proto
from jsonnx.core.types import BATCH, Size, TensorType
from jsonnx.ir import Builder


def told(g: Builder, **outputs: object) -> dict[str, list[str | int]]:
    model = to_model_proto(g.graph(outputs))  # type: ignore[arg-type]
    return {
        info.name: [size.dim_param or size.dim_value for size in info.type.tensor_type.shape.dim]
        for info in model.graph.value_info
    }


def test_a_reshape_to_symbolic_sizes_of_inputs_has_value_info() -> None:
    """So that onnxruntime knows which sizes are equal, and reuses buffers."""
    g, time = Builder(), Size.named("time")
    x = g.input("x", TensorType("float32", (BATCH, time, 6)))
    parts = g.reshape(x, (BATCH, time, 2, 3), x)
    rows = g.reshape(g.Neg(parts), (BATCH * 2, time, 3), x)  # type: ignore[operator]
    found = told(g, y=g.Exp(parts), z=g.Exp(rows))
    assert list(found.values()) == [["batch", "time", 2, 3], ["2*batch", "time", 3]]


def test_unknown_and_inferable_shapes_have_no_value_info() -> None:
    g = Builder()
    x = g.input("x", TensorType("float32", (BATCH, 6)))
    unknown = g.Reshape(g.Compress(x, g.const([True] * 6, "bool"), axis=1), g.const([-1, 2], "int64"))
    fixed = g.Reshape(g.const([[1.0] * 6]), g.const([2, 3], "int64"))
    assert told(g, y=g.Exp(unknown), z=g.Exp(fixed), w=g.Exp(g.Neg(x))) == {}
