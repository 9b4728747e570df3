"""Translates TensorFlow functions between the layers of a tf.keras model to functions of `keras.ops`.

tf.keras stores `x + 1` or `tf.reduce_mean(x, axis=1)` between layers as a `TFOpLambda` with the name of the function,
or as a `SlicingOpLambda`. Functions that are not in the table are rejected.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

OP_LAMBDA_CLASSES = ("TFOpLambda", "SlicingOpLambda")


class OpsFunction(NamedTuple):
    """A function of `keras.ops`. `argument_names` maps TensorFlow's names of all arguments but the first."""

    name: str
    first_argument: str = "x"
    argument_names: Mapping[str, str] = {}
    fixed_arguments: Mapping[str, Any] = {}
    """TensorFlow's defaults that differ from the defaults of `keras.ops`."""


def _same_name(*names: str, first: str = "x", **others: str) -> dict[str, OpsFunction]:
    return {name: OpsFunction(name.rpartition(".")[2], first, others) for name in names}


_BINARY_ARGUMENTS = {"y": "x2"}
_REDUCTION_ARGUMENTS = {"axis": "axis", "keepdims": "keepdims"}

FUNCTIONS: dict[str, OpsFunction] = {
    **_same_name(
        *(f"math.{name}" for name in ("add", "subtract", "multiply", "divide", "maximum", "minimum")),
        first="x1",
        y="x2",
    ),
    **_same_name(*(f"math.{name}" for name in ("equal", "not_equal", "greater", "greater_equal")), first="x1", y="x2"),
    **_same_name(*(f"math.{name}" for name in ("less", "less_equal", "logical_and", "logical_or")), first="x1", y="x2"),
    **_same_name(
        *(f"math.{name}" for name in ("negative", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "square", "abs"))
    ),
    **_same_name(
        *(f"math.{name}" for name in ("sign", "sin", "cos", "tan", "tanh", "sigmoid", "floor", "ceil", "round"))
    ),
    **_same_name(*(f"math.{name}" for name in ("reciprocal", "erf", "softplus", "logical_not"))),
    **_same_name("sigmoid", "tanh", "zeros_like", "ones_like", "stop_gradient"),
    **_same_name(
        "nn.relu", "nn.relu6", "nn.selu", "nn.softplus", "nn.silu", "nn.elu", "nn.sigmoid", "nn.tanh", "nn.softsign"
    ),
    **_same_name("nn.softmax", "nn.log_softmax", "expand_dims", axis="axis"),
    "identity": OpsFunction("copy"),
    "nn.swish": OpsFunction("silu"),
    "nn.gelu": OpsFunction("gelu", "x", {"approximate": "approximate"}, {"approximate": False}),
    "nn.leaky_relu": OpsFunction("leaky_relu", "x", {"alpha": "negative_slope"}, {"negative_slope": 0.2}),
    **{f"__operators__.{name}": OpsFunction(name, "x1", _BINARY_ARGUMENTS) for name in ("add", "subtract", "multiply")},
    "math.truediv": OpsFunction("divide", "x1", _BINARY_ARGUMENTS),
    "math.pow": OpsFunction("power", "x1", _BINARY_ARGUMENTS),
    "math.floordiv": OpsFunction("floor_divide", "x1", _BINARY_ARGUMENTS),
    "math.floormod": OpsFunction("mod", "x1", _BINARY_ARGUMENTS),
    **{
        f"math.reduce_{name}": OpsFunction({"variance": "var"}.get(name, name), "x", _REDUCTION_ARGUMENTS)
        for name in ("sum", "mean", "max", "min", "prod", "any", "all", "logsumexp", "std", "variance")
    },
    "math.l2_normalize": OpsFunction("normalize", "x", {"axis": "axis"}, {"axis": None, "epsilon": 1e-6}),
    "concat": OpsFunction("concatenate", "xs", {"axis": "axis"}),
    "stack": OpsFunction("stack", "x", {"axis": "axis"}, {"axis": 0}),
    "reshape": OpsFunction("reshape", "x", {"shape": "newshape"}),
    "transpose": OpsFunction("transpose", "x", {"perm": "axes"}),
    "squeeze": OpsFunction("squeeze", "x", {"axis": "axis"}),
    "linalg.matmul": OpsFunction("matmul", "x1", {"b": "x2"}),
    "clip_by_value": OpsFunction("clip", "x", {"clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "cast": OpsFunction("cast", "x", {"dtype": "dtype"}),
    "where": OpsFunction("where", "condition", {"x": "x1", "y": "x2"}),
    "tile": OpsFunction("tile", "x", {"multiples": "repeats"}),
    "gather": OpsFunction("take", "x", {"indices": "indices", "axis": "axis"}, {"axis": 0}),
    "one_hot": OpsFunction("one_hot", "x", {"depth": "num_classes", "axis": "axis"}),
    "math.argmax": OpsFunction("argmax", "x", {"axis": "axis"}, {"axis": 0}),
    "math.argmin": OpsFunction("argmin", "x", {"axis": "axis"}, {"axis": 0}),
    "__operators__.getitem": OpsFunction("get_item", "x", {"slice_spec": "key"}),
}

NEUTRAL_ARGUMENTS: Mapping[str, Any] = {
    "name": None,
    "epsilon": 1e-12,  # lower bound of the sum of squares
    "conjugate": False,
    "transpose_a": False,
    "transpose_b": False,
    "adjoint_a": False,
    "adjoint_b": False,
    "batch_dims": 0,
    "on_value": None,
    "off_value": None,
}
"""Arguments that have no effect with these values; `name` never has one."""


class UnsupportedFunction(Exception):
    """A function or argument without a counterpart; the message is the end of a sentence."""


def find_function(name: str) -> OpsFunction:
    """The function for a name in a model's JSON. Raises UnsupportedFunction."""
    base_name = name.removeprefix("compat.v1.").removeprefix("compat.v2.").removesuffix("_v2")
    if base_name not in FUNCTIONS:
        raise UnsupportedFunction(f"calls TensorFlow's {name!r}, which is not supported")
    return FUNCTIONS[base_name]


def translate_arguments(function: OpsFunction, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by their names in `keras.ops`. Raises UnsupportedFunction."""
    arguments: dict[str, Any] = {function.first_argument: args[0] if args else None, **function.fixed_arguments}
    for key, value in kwargs.items():
        if key in function.argument_names:
            arguments[function.argument_names[key]] = value
        elif key != "name" and value is not None and NEUTRAL_ARGUMENTS.get(key, value is None) != value:
            raise UnsupportedFunction(f"is called with {key!r}, which a spec cannot express")
    if function.name == "normalize" and arguments["axis"] is None:
        raise UnsupportedFunction("normalizes across the whole batch, which a spec cannot express")
    return arguments
