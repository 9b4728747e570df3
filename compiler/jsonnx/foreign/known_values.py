"""Values that are known while a graph is emitted: small integer tensors whose elements are numbers or symbolic sizes,
as chains of Shape, Gather and Concat compute them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil, floor, prod
from typing import Any

import numpy as np
import onnx

from ..core.types import Dim, Size

MAX_KNOWN_ELEMENTS = 4096
"""Elements of the largest tensor whose values are followed."""

Known = np.ndarray
"""An array of Python numbers and sizes."""


def known_array(values: Any) -> Known:
    """The values as an array of Python objects."""
    if isinstance(values, list):  # NumPy takes no list of numbers and sizes apart
        array = np.empty(len(values), object)
        array[:] = values
        return array
    array = np.asarray(values)
    return array if array.dtype == object else array.astype(object)


def evaluate(op: str, attributes: Mapping[str, Any], operands: Sequence[Known | None], outputs: int) -> list[Known]:
    """The results of an operator. Raises LookupError, TypeError or ValueError if they are not known."""
    if any(operand is None for operand in operands) and op != "Slice":
        raise ValueError(op)
    results = _EVALUATORS[op](attributes, *operands)
    results = results if isinstance(results, list) else [results]
    arrays = [known_array(result) for result in results]
    if len(arrays) != outputs or any(array.size > MAX_KNOWN_ELEMENTS for array in arrays):
        raise ValueError(op)
    return arrays


def _elementwise(function: Callable[..., Any]) -> Callable[..., Known]:
    ufunc = np.frompyfunc(function, function.__code__.co_argcount, 1)
    return lambda attributes, *operands: ufunc(*operands)


def _number(value: Any) -> Any:
    """The value; raises TypeError for a symbolic size, which cannot be compared or rounded."""
    if isinstance(value, Size):
        raise TypeError("a symbolic size")
    return value


def _divide(a: Any, b: Any) -> Any:
    if isinstance(_number(b), float) or isinstance(a, float):
        return a / b
    return a // b if isinstance(a, Size) or a * b >= 0 else -(-a // b)


def _equal(a: Any, b: Any) -> bool:
    """A symbolic size is at least 0, so it differs from the numbers below."""
    if isinstance(a, Size) or isinstance(b, Size):
        number = b if isinstance(a, Size) else a
        if isinstance(number, int) and number < 0:
            return False
        if a != b:
            raise TypeError("a symbolic size")
        return True
    return bool(a == b)


def _cast(attributes: Mapping[str, Any], x: Known) -> Known:
    to = attributes["to"]
    if to in (onnx.TensorProto.INT64, onnx.TensorProto.INT32):
        return np.frompyfunc(lambda v: v if isinstance(v, Size) else int(v), 1, 1)(x)
    if to == onnx.TensorProto.BOOL:
        return np.frompyfunc(lambda v: bool(_number(v)), 1, 1)(x)
    return np.frompyfunc(lambda v: float(_number(v)), 1, 1)(x)


def _slice(attributes: Mapping[str, Any], x: Known, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    index = [slice(None)] * x.ndim
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = int(axes[number]) if axes is not None else number
        step = int(steps[number]) if steps is not None else 1
        stop = int(_number(end))
        index[axis] = slice(int(_number(start)), None if step < 0 and stop < -x.shape[axis] else stop, step)
    return x[tuple(index)]


def _axes(axes: Any) -> tuple[int, ...]:
    return tuple(int(axis) for axis in axes)


def _reshape(attributes: Mapping[str, Any], x: Known, shape: Known) -> Known:
    return x.reshape([x.shape[i] if size == 0 else int(_number(size)) for i, size in enumerate(shape)])


def _constant_of_shape(attributes: Mapping[str, Any], shape: Known) -> Known:
    sizes = [int(_number(size)) for size in shape]
    if prod(sizes) > MAX_KNOWN_ELEMENTS:
        raise ValueError("large")
    value = attributes.get("value")
    number = 0.0 if value is None else onnx.numpy_helper.to_array(value).reshape(-1)[0].item()
    return np.full(sizes, number, object)


def _range(attributes: Mapping[str, Any], start: Known, limit: Known, delta: Known) -> Known:
    numbers = range(*(int(_number(each.item())) for each in (start, limit, delta)))
    if len(numbers) > MAX_KNOWN_ELEMENTS:
        raise ValueError("large")
    return known_array(list(numbers))


def _expand(attributes: Mapping[str, Any], x: Known, shape: Known) -> Known:
    sizes = [int(_number(size)) for size in shape]
    if prod(sizes) > MAX_KNOWN_ELEMENTS:
        raise ValueError("large")
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(sizes))).copy()


def _reduce_prod(attributes: Mapping[str, Any], x: Known, axes: Known | None = None) -> Known:
    result: Dim = 1
    for size in x.reshape(-1):
        result = size * result
    return known_array(np.full((1,) * x.ndim if attributes.get("keepdims", 1) else (), result, object))


def _where(attributes: Mapping[str, Any], condition: Known, a: Known, b: Known) -> Known:
    condition, a, b = np.broadcast_arrays(condition, a, b)
    return np.where(condition.astype(bool), a, b)


_EVALUATORS: dict[str, Callable[..., Any]] = {
    "Add": _elementwise(lambda a, b: a + b),
    "Sub": _elementwise(lambda a, b: a - b),
    "Mul": _elementwise(lambda a, b: a * b),
    "Div": _elementwise(_divide),
    "Mod": _elementwise(lambda a, b: _number(a) % _number(b)),
    "Neg": _elementwise(lambda a: -a),
    "Floor": _elementwise(lambda a: float(floor(_number(a)))),
    "Ceil": _elementwise(lambda a: float(ceil(_number(a)))),
    "Sqrt": _elementwise(lambda a: _number(a) ** 0.5),
    "Pow": _elementwise(lambda a, b: _number(a) ** _number(b)),
    "Abs": _elementwise(lambda a: a if isinstance(a, Size) else abs(a)),
    "Round": _elementwise(lambda a: float(round(_number(a)))),
    "Max": _elementwise(lambda a, b: max(_number(a), _number(b))),
    "Min": _elementwise(lambda a, b: min(_number(a), _number(b))),
    "Equal": _elementwise(_equal),
    "Greater": _elementwise(lambda a, b: bool(_number(a) > _number(b))),
    "GreaterOrEqual": _elementwise(lambda a, b: bool(_number(a) >= _number(b))),
    "Less": _elementwise(lambda a, b: bool(_number(a) < _number(b))),
    "LessOrEqual": _elementwise(lambda a, b: bool(_number(a) <= _number(b))),
    "And": _elementwise(lambda a, b: bool(a and b)),
    "Or": _elementwise(lambda a, b: bool(a or b)),
    "Not": _elementwise(lambda a: not a),
    "Cast": _cast,
    "Concat": lambda attributes, *parts: np.concatenate(parts, attributes["axis"]),
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Gather": lambda attributes, x, indices: np.take(x, indices.astype(np.int64), attributes.get("axis", 0)),
    "Range": _range,
    "ReduceProd": _reduce_prod,
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": lambda attributes, x, axes=None: np.squeeze(x, None if axes is None else _axes(axes)),
    "Transpose": lambda attributes, x: np.transpose(x, attributes.get("perm")),
    "Unsqueeze": lambda attributes, x, axes: np.expand_dims(x, _axes(axes)),
    "Where": _where,
}
"""By operator: the results from attributes and operands."""
