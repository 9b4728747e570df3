"""The check of finished models accepts valid ones that onnx' data propagation misunderstands, and rejects others."""

from __future__ import annotations

import onnx
import pytest
from jsonnx.backend import verify_model

GRAPH = """<ir_version: 9, opset_import: ["" : 20]>
g (float[n] x) => (int64[RESULT] d, float[n] y)
<int64 zero = {0}, int64 one = {1}, int64 two = {2}, int64 four = {4}, int64[1] axis = {1}>
{
  rows = Range(zero, two, one)
  columns = Range(zero, four, one)
  column = Unsqueeze(rows, axis)
  d = Add(column, columns)
  y = Identity(x)
}
"""


def model(result: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(GRAPH.replace("RESULT", result))


def test_the_sum_of_a_column_and_a_row_of_constant_ranges_is_valid() -> None:
    verify_model(model("2, 4"))


def test_a_wrong_shape_behind_such_a_sum_is_an_error() -> None:
    with pytest.raises(onnx.shape_inference.InferenceError, match="dimension"):
        verify_model(model("2, 5"))


def test_the_elements_of_a_large_expanded_constant_are_not_propagated() -> None:
    text = """<ir_version: 9, opset_import: ["" : 20]>
g (float[n] x) => (int64[RESULT] y) <int64 one = {1}, int64[1] size = {2147483647}>
{
  ones = Expand(one, size)
  y = Mul(ones, ones)
}
"""
    verify_model(onnx.parser.parse_model(text.replace("RESULT", "2147483647")))
    with pytest.raises(onnx.shape_inference.InferenceError, match="dimension"):
        verify_model(onnx.parser.parse_model(text.replace("RESULT", "2147483646")))
