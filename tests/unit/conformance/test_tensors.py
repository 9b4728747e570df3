"""Tensors in both encodings, and what is wrong with those of an answer."""

from __future__ import annotations

import random
from typing import Any

import pytest
from jsonnx.conformance.tensors import DATATYPES, Tensor, TensorSpec, nest, parse_binary, parse_output, synthesize
from jsonnx.conformance.verdicts import Violation

OUTPUT: dict[str, Any] = {"name": "y", "datatype": "FP32", "shape": [2, 1], "data": [1, 2.5]}


@pytest.mark.parametrize("datatype", DATATYPES)
def test_a_synthesized_tensor_is_the_same_in_both_encodings(datatype: str) -> None:
    tensor = synthesize(TensorSpec("x", datatype, (-1, 3)), 2, 1, random.Random(0))
    assert tensor.shape == (2, 3)
    assert parse_output(tensor.document()).equals(tensor)
    assert parse_output(tensor.document(nested=True)).equals(tensor)
    binary = Tensor("x", datatype, (2, 3), parse_binary(datatype, tensor.content()))
    assert binary.equals(tensor)
    assert tensor.rows(1, 2).elements == tensor.elements[3:]


def test_nesting_follows_the_axes() -> None:
    assert nest([1, 2, 3, 4, 5, 6], (3, 2)) == [[1, 2], [3, 4], [5, 6]]
    assert nest([7], ()) == 7
    assert nest([], (0, 2)) == []


WRONG = {
    "no name": {"name": None},
    "number for name": {"name": 1},
    "unknown datatype": {"datatype": "FLOAT"},
    "negative size": {"shape": [-1, 2]},
    "fraction": {"shape": [2.0, 1]},
    "few elements": {"data": [1]},
    "null": {"data": [1, None]},
    "text": {"data": [1, "2"]},
    "boolean": {"data": [1, True]},
    "out of range": {"datatype": "INT8", "data": [1, 128]},
    "float for integer": {"datatype": "INT8", "data": [1, 1.0]},
    "no list": {"data": "12"},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_wrong_output_is_a_violation(change: dict[str, Any]) -> None:
    parse_output(OUTPUT)
    with pytest.raises(Violation):
        parse_output({**OUTPUT, **change})


@pytest.mark.parametrize(("datatype", "data"), [("FP32", b"123"), ("BYTES", b"\5\0\0\0ab"), ("BYTES", b"\1\0")])
def test_wrong_binary_data_are_a_violation(datatype: str, data: bytes) -> None:
    with pytest.raises(Violation):
        parse_binary(datatype, data)


def test_floats_may_differ_by_the_order_of_additions() -> None:
    one, other = Tensor("y", "FP32", (1,), (1.0,)), Tensor("y", "FP32", (1,), (1.00001,))
    assert one.equals(other)
    assert not one.equals(other, is_exact=True)
    assert not one.equals(Tensor("y", "FP32", (1,), (1.01,)))
    assert not one.equals(Tensor("y", "FP64", (1,), (1.0,)))
