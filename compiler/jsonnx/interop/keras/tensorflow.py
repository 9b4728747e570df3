"""Functions of TensorFlow between the layers of a tf.keras model, in the words of `keras.ops`.

A model that computes `x + 1` or `tf.reduce_mean(x, axis=1)` between its layers holds that as a `TFOpLambda`, which
names the function, or as a `SlicingOpLambda`. Nothing is looked up in TensorFlow: what is not in the table is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

KINDS = ("TFOpLambda", "SlicingOpLambda")


class Function(NamedTuple):
    """A function of `keras.ops`: its name, the name of the first argument, and ours of the others by TensorFlow's."""

    name: str
    first: str = "x"
    others: Mapping[str, str] = {}
    fixed: Mapping[str, Any] = {}
    """What TensorFlow does unasked and `keras.ops` does not."""


def _same(*names: str, first: str = "x", **others: str) -> dict[str, Function]:
    return {name: Function(name.rpartition(".")[2], first, others) for name in names}


_TWO = {"y": "x2"}
_AXIS = {"axis": "axis", "keepdims": "keepdims"}

FUNCTIONS: dict[str, Function] = {
    **_same(
        *(f"math.{name}" for name in ("add", "subtract", "multiply", "divide", "maximum", "minimum")),
        first="x1",
        y="x2",
    ),
    **_same(*(f"math.{name}" for name in ("equal", "not_equal", "greater", "greater_equal")), first="x1", y="x2"),
    **_same(*(f"math.{name}" for name in ("less", "less_equal", "logical_and", "logical_or")), first="x1", y="x2"),
    **_same(
        *(f"math.{name}" for name in ("negative", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "square", "abs"))
    ),
    **_same(*(f"math.{name}" for name in ("sign", "sin", "cos", "tan", "tanh", "sigmoid", "floor", "ceil", "round"))),
    **_same(*(f"math.{name}" for name in ("reciprocal", "erf", "softplus", "logical_not"))),
    **_same("sigmoid", "tanh", "zeros_like", "ones_like", "stop_gradient"),
    **_same(
        "nn.relu", "nn.relu6", "nn.selu", "nn.softplus", "nn.silu", "nn.elu", "nn.sigmoid", "nn.tanh", "nn.softsign"
    ),
    **_same("nn.softmax", "nn.log_softmax", "expand_dims", axis="axis"),
    "identity": Function("copy"),
    "nn.swish": Function("silu"),
    "nn.gelu": Function("gelu", "x", {"approximate": "approximate"}, {"approximate": False}),
    "nn.leaky_relu": Function("leaky_relu", "x", {"alpha": "negative_slope"}, {"negative_slope": 0.2}),
    **{f"__operators__.{name}": Function(name, "x1", _TWO) for name in ("add", "subtract", "multiply")},
    "math.truediv": Function("divide", "x1", _TWO),
    "math.pow": Function("power", "x1", _TWO),
    "math.floordiv": Function("floor_divide", "x1", _TWO),
    "math.floormod": Function("mod", "x1", _TWO),
    **{
        f"math.reduce_{name}": Function({"variance": "var"}.get(name, name), "x", _AXIS)
        for name in ("sum", "mean", "max", "min", "prod", "any", "all", "logsumexp", "std", "variance")
    },
    "math.l2_normalize": Function("normalize", "x", {"axis": "axis"}, {"axis": None, "epsilon": 1e-6}),
    "concat": Function("concatenate", "xs", {"axis": "axis"}),
    "stack": Function("stack", "x", {"axis": "axis"}, {"axis": 0}),
    "reshape": Function("reshape", "x", {"shape": "newshape"}),
    "transpose": Function("transpose", "x", {"perm": "axes"}),
    "squeeze": Function("squeeze", "x", {"axis": "axis"}),
    "linalg.matmul": Function("matmul", "x1", {"b": "x2"}),
    "clip_by_value": Function("clip", "x", {"clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "cast": Function("cast", "x", {"dtype": "dtype"}),
    "where": Function("where", "condition", {"x": "x1", "y": "x2"}),
    "tile": Function("tile", "x", {"multiples": "repeats"}),
    "gather": Function("take", "x", {"indices": "indices", "axis": "axis"}, {"axis": 0}),
    "one_hot": Function("one_hot", "x", {"depth": "num_classes", "axis": "axis"}),
    "math.argmax": Function("argmax", "x", {"axis": "axis"}, {"axis": 0}),
    "math.argmin": Function("argmin", "x", {"axis": "axis"}, {"axis": 0}),
    "__operators__.getitem": Function("get_item", "x", {"slice_spec": "key"}),
}

IDLE: Mapping[str, Any] = {
    "name": None,
    "epsilon": 1e-12,  # of the sum of squares
    "conjugate": False,
    "transpose_a": False,
    "transpose_b": False,
    "adjoint_a": False,
    "adjoint_b": False,
    "batch_dims": 0,
    "on_value": None,
    "off_value": None,
}
"""Arguments that say nothing with these values; a name says nothing at all."""


class Unknown(Exception):
    """What there is no word for, as the end of a sentence."""


def function_of(name: str) -> Function:
    """The function of a name as a model's JSON has it; raises Unknown."""
    plain = name.removeprefix("compat.v1.").removeprefix("compat.v2.").removesuffix("_v2")
    if plain not in FUNCTIONS:
        raise Unknown(f"calls TensorFlow's {name!r}, which has no counterpart here")
    return FUNCTIONS[plain]


def given_to(function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call in the words of `keras.ops`; raises Unknown."""
    given: dict[str, Any] = {function.first: args[0] if args else None, **function.fixed}
    for key, value in kwargs.items():
        if key in function.others:
            given[function.others[key]] = value
        elif key != "name" and value is not None and IDLE.get(key, value is None) != value:
            raise Unknown(f"is called with {key!r}, which cannot be said in a spec")
    if function.name == "normalize" and given["axis"] is None:
        raise Unknown("normalizes the whole batch at once, which cannot be said in a spec")
    return given
