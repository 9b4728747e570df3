"""Lowering: types are checked against the shape rules, weights against their size, and layers have costs."""

from __future__ import annotations

from typing import Any

import pytest
from jsonnx.core.diagnostics import Report
from jsonnx.core.types import BATCH, Size, TensorType
from jsonnx.ir import Builder
from jsonnx.ir.builder import EmissionError
from jsonnx.lowering.check_weights import check_shared_weights, restricts_weights
from jsonnx.lowering.cost import cost_table
from jsonnx.lowering.lower import check_promised_type, layer_weights
from jsonnx.pipeline.check.check import check_spec
from support.harness import lower, one_layer


def spec(*layers: dict[str, Any], shape: tuple[int, ...] = (4,)) -> dict[str, Any]:
    return {"inputs": {"x": {"shape": list(shape)}}, "layers": list(layers)}


def dense(units: int, **more: Any) -> dict[str, Any]:
    return {"type": "Dense", "units": units, **more}


# -- types -----------------------------------------------------------------------------------------------------------


def test_an_inferred_symbol_is_refined_to_the_promised_size() -> None:
    x = Builder().input("x", TensorType("float32", (BATCH, Size.named("unk__1"))))
    check_promised_type(x, TensorType("float32", (BATCH, 3)), "layer")
    assert x.shape == (BATCH, 3)


@pytest.mark.parametrize(
    "promised",
    [("float32", (BATCH, 4)), ("float32", (3, BATCH)), ("float32", (BATCH,)), ("int64", (BATCH, 3))],
    ids=str,
)
def test_another_type_than_the_promised_one_is_a_error(promised: tuple[str, tuple[Any, ...]]) -> None:
    x = Builder().input("x", TensorType("float32", (BATCH, 3)))
    with pytest.raises(EmissionError, match="the shape rule promises"):
        check_promised_type(x, TensorType(*promised), "layer")


def test_float_dtype_replaces_float32_everywhere() -> None:
    graph = lower(one_layer(dense(2), (3,)), float_dtype="float64")
    values = [*graph.inputs.values(), *graph.parameters.values(), *graph.outputs.values()]
    assert {value.dtype for value in values} == {"float64"}


def test_a_fed_value_is_an_input_and_is_not_computed() -> None:
    typed = check_spec(spec(dense(3, name="a"), dense(2, name="b"))).require()
    graph = lower(typed, outputs=["b"], fed_names={"a": "a/fed"})
    assert graph.parameters.keys() == {"b/kernel", "b/bias"}
    assert graph.inputs["a/fed"].shape == (BATCH, 3)


# -- weights ---------------------------------------------------------------------------------------------------------


def test_the_weights_of_a_replaced_layer_have_its_types_and_trainability() -> None:
    typed = check_spec(spec(dense(3, name="a"))).require()
    other = check_spec(spec({"type": "BatchNormalization", "name": "a"})).require().network.calls[0].layer
    assert other is not None
    weights = layer_weights(other, typed.network.calls[0], typed)
    assert {name: trainable for name, (_, trainable) in weights.items()} == {
        "a/gamma": True,
        "a/beta": True,
        "a/moving_mean": False,
        "a/moving_variance": False,
    }


@pytest.mark.parametrize(
    ("layer", "restricts"),
    [
        (dense(2), False),
        (dense(2, kernel_initializer="orthogonal"), True),
        (dense(2, kernel_constraint={"type": "MaxNorm", "axis": 0}), False),
        (dense(2, kernel_constraint={"type": "MaxNorm", "axis": 1}), True),
        ({"type": "TimeDistributed", "layer": dense(2, bias_initializer="identity")}, True),
    ],
)
def test_only_components_that_restrict_shapes_need_the_weights(layer: dict[str, Any], restricts: bool) -> None:
    shape = (3, 4) if layer["type"] == "TimeDistributed" else (4,)
    assert restricts_weights(one_layer(layer, shape).network.calls[0].layer) == restricts


def test_an_initializer_that_does_not_accept_the_shape_is_reported_at_the_layer() -> None:
    report = Report()
    check_shared_weights(one_layer(dense(2, bias_initializer="identity"), (4,)), report)
    assert report.has_errors(("layers", 0))


# -- costs -----------------------------------------------------------------------------------------------------------


def test_a_layer_costs_its_weights_and_its_multiplications() -> None:
    typed = check_spec(spec(dense(4, name="a"), dense(3, name="b", trainable=False))).require()
    rows = cost_table(typed, lower(typed))
    assert [(row.parameters, row.trainable, row.macs.constant, row.frozen) for row in rows] == [
        (20, 20, 16, False),
        (15, 0, 12, True),
    ]


def test_the_weights_of_a_shared_layer_count_at_its_first_call() -> None:
    typed = check_spec(spec(dense(4, name="a"), {"use": "a", "name": "again", "from": "a"})).require()
    rows = cost_table(typed, lower(typed))
    assert [(row.parameters, row.trainable, row.macs.constant) for row in rows] == [(20, 20, 16), (0, 0, 16)]


def test_the_multiplications_of_a_symbolic_size_are_a_formula() -> None:
    typed = one_layer({"type": "Conv1D", "filters": 2, "kernel_size": 3}, (Size.named("time"), 4))
    (row,) = cost_table(typed, lower(typed))
    assert (row.parameters, row.macs.constant, str(row.macs)) == (26, None, "24*time - 48")
