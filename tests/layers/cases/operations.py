"""The functions of keras.ops."""

from . import Case

POSITIVE, UNIT, ABOVE_ONE = (0.2, 3.0), (-0.9, 0.9), (1.1, 3.0)

VECTOR, MATRIX, IMAGE = [(4,)], [(3, 4)], [(2, 3, 4)]
TWO = [(3, 4), (3, 4)]


def op(name: str, inputs: list[tuple[int, ...]] = MATRIX, *, case: str = "", **arguments) -> Case:
    """A case of a function: `ops-NAME`, or `ops-NAME-CASE`; what is no argument of the function is the case's."""
    about = {key: arguments.pop(key) for key in ("integers", "smooth", "within", "masks") if key in arguments}
    id = f"ops-{name}-{case}" if case else f"ops-{name}"
    return Case(id.replace("_", "-").replace(".", "-"), {"type": f"ops.{name}", **arguments}, inputs, **about)


UNARY = [
    *map(op, ("abs", "fabs", "negative", "square", "exp", "exp2", "expm1", "sin", "cos", "arctan", "sinh", "cosh")),
    *map(op, ("arcsinh", "sinc", "deg2rad", "rad2deg", "erf", "erfc", "copy", "real", "conjugate", "cbrt")),
    *(op(name, smooth=False) for name in ("isnan", "isinf", "isposinf", "isneginf", "isfinite", "logical_not")),
    *(op(name, smooth=False) for name in ("sign", "stop_gradient")),
    *(op(name, within=POSITIVE) for name in ("sqrt", "rsqrt", "reciprocal", "log", "log1p", "log2", "log10")),
    *(op(name, within=UNIT) for name in ("arcsin", "arccos", "arctanh", "tan")),
    op("arccosh", within=ABOVE_ONE),
    *(op(name, smooth=False) for name in ("floor", "ceil", "trunc", "round")),
    op("round", case="decimals", decimals=1, smooth=False),
    op("nan_to_num"),
    op("nan_to_num", case="given", nan=1.0, posinf=2.0, neginf=-2.0),
    *(op(name, case="integers", integers=5) for name in ("abs", "negative", "sign", "square", "exp", "log1p", "sqrt")),
    *(op(name, case="integers", integers=5) for name in ("floor", "trunc", "isnan", "logical_not", "round")),
]

ACTIVATIONS = [
    *map(op, ("relu", "relu6", "sigmoid", "log_sigmoid", "hard_sigmoid", "tanh", "tanh_shrink", "softplus")),
    *map(op, ("softsign", "silu", "hard_silu", "selu", "leaky_relu", "elu", "celu", "gelu", "squareplus")),
    *map(op, ("sparse_sigmoid", "hard_tanh", "sparse_plus", "hard_shrink", "soft_shrink", "glu")),
    *map(op, ("softmax", "log_softmax", "sparsemax")),
    op("leaky_relu", case="slope", negative_slope=0.3),
    op("elu", case="alpha", alpha=0.5),
    op("celu", case="alpha", alpha=2.0),
    op("gelu", case="exact", approximate=False),
    op("squareplus", case="b", b=2),
    op("threshold", threshold=0.5, default_value=-1.0),
    op("softmax", case="first", axis=1),
    op("softmax", IMAGE, case="two", axis=[1, -1]),
    op("log_softmax", case="first", axis=1),
    op("relu", case="integers", integers=5),
]

WITH_ARGUMENTS = [
    op("cast", dtype="int32", smooth=False),
    op("cast", case="bool", dtype="bool", smooth=False),
    op("cast", case="real", dtype="float32", integers=5),
    op("zeros_like", smooth=False),
    op("ones_like", case="integers", dtype="int32", smooth=False),
    op("full_like", fill_value=2.5, smooth=False),
    op("clip", x_min=-0.5, x_max=0.7),
    op("clip", case="above", x_max=0.3),
    op("clip", case="rows", x_min=[-1, -0.5, 0, 0.5]),
    op("clip", case="integers", x_min=1, x_max=3, integers=5),
]

BINARY = [
    *(op(name, TWO) for name in ("add", "subtract", "multiply", "maximum", "minimum", "hypot", "logaddexp")),
    *(op(name, TWO, within=POSITIVE) for name in ("divide", "divide_no_nan", "power", "mod", "arctan2")),
    op("arctan2", TWO, case="all-quarters"),
    op("mod", TWO, case="signs"),
    op("floor_divide", TWO, smooth=False),
    op("heaviside", TWO, smooth=False),
    *(op(name, TWO, smooth=False) for name in ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal")),
    *(op(name, TWO, masks=(0, 1), smooth=False) for name in ("logical_and", "logical_or", "logical_xor")),
    *(op(name, TWO, case="integers", integers=5) for name in ("add", "subtract", "multiply", "maximum", "minimum")),
    *(op(name, TWO, case="integers", integers=5) for name in ("equal", "less", "logical_and", "power")),
    *(op(name, case="integers", x2=3, integers=9) for name in ("divide", "floor_divide", "mod")),
    *(op(name, case="negative-integers", x2=-3, integers=9) for name in ("floor_divide", "mod")),
    op("subtract", case="from-one", x1=1.0),
    op("subtract", case="integer", x2=2),
    op("divide", case="one-by", x1=1, within=POSITIVE),
    op("power", case="square", x2=2),
    op("power", case="root", x2=0.5, within=POSITIVE),
    op("power", case="of-two", x1=2.0),
    op("multiply", case="row", x2=[1.0, 2.0, -1.0, 0.5]),
    op("multiply", case="real-by-integers", x2=[[1], [2], [3]]),
    op("add", case="real-to-integers", x2=0.5, integers=5),
    op("add", [(3, 1), (1, 4)], case="broadcast"),
    op("add", [(3, 4), (1, 1)], case="scalar"),
    op("maximum", case="zero", x2=0.0),
    op("where", [(3, 4), (3, 4), (3, 1)], masks=(0,)),
    op("where", [(3, 4), (3, 4)], case="constant", x2=0.0, masks=(0,)),
    op("where", [(3, 4)], case="constants", x1=1.5, x2=-1, masks=(0,)),
]

REDUCTIONS = [
    *(op(name, axis=-1) for name in ("sum", "mean", "var", "std", "max", "amax", "min", "amin", "prod", "ptp")),
    *(op(name, axis=-1) for name in ("logsumexp", "norm", "normalize", "average")),
    *(op(name, IMAGE, case="two", axis=[1, 3], keepdims=True) for name in ("sum", "mean", "var", "std", "max", "min")),
    *(op(name, IMAGE, case="two", axis=[-1, 2], keepdims=True) for name in ("prod", "logsumexp", "ptp", "amax")),
    *(op(name, case="all") for name in ("sum", "mean", "max", "std", "logsumexp", "norm", "prod")),
    *(op(name, case="batch", axis=0, keepdims=True) for name in ("mean", "max", "var")),
    *(op(name, case="integers", axis=1, integers=5) for name in ("sum", "mean", "max", "min", "prod", "var", "std")),
    op("max", case="initial", axis=1, initial=0.5),
    op("min", case="initial", axis=1, initial=-0.5),
    *(op(name, axis=-1, smooth=False) for name in ("argmax", "argmin")),
    op("argmax", case="keepdims", axis=1, keepdims=True, smooth=False),
    op("argmax", case="all", smooth=False),
    op("argmin", case="all", keepdims=True, smooth=False),
    *(op(name, axis=-1, integers=2) for name in ("any", "all", "count_nonzero")),
    *(op(name, case="all", integers=2) for name in ("any", "count_nonzero")),
    op("all", case="keepdims", axis=[1, 2], keepdims=True, integers=2),
    op("average", [(3, 4), (3, 4)], case="weights", axis=1, within=POSITIVE),
    op("average", case="constant", axis=-1, weights=[1, 2, 3, 4.0]),
    *(
        op("norm", case=f"order-{order}", ord=order, axis=-1, smooth=order != 0)
        for order in (0, 1, 2, 3, "inf", "-inf", -1)
    ),
    *(op("norm", IMAGE, case=f"matrix-{order}", ord=order, axis=[1, 3]) for order in (1, -1, "inf", "-inf", "fro")),
    op("norm", case="keepdims", axis=[1, 2], keepdims=True),
    op("normalize", case="order", order=1, axis=1),
    op("normalize", case="two", axis=[1, 2]),
    op("moments", axes=[1]),
    op("moments", case="keepdims", axes=[1, 2], keepdims=True),
]

SHAPING = [
    op("reshape", newshape=[-1, 12]),
    op("reshape", case="first", newshape=[-1, 2]),
    op("reshape", case="row", newshape=-1),
    op("reshape", case="last", newshape=[3, -1]),
    op("ravel"),
    op("squeeze", [(1, 3, 1)]),
    op("squeeze", [(1, 3, 1)], case="axis", axis=-1),
    op("expand_dims", axis=-1),
    op("expand_dims", case="first", axis=0),
    op("expand_dims", case="two", axis=[1, -1]),
    op("broadcast_to", [(1, 4)], shape=[None, 3, 4]),
    op("transpose", case="named", axes=[0, 2, 1]),
    op("transpose"),
    op("swapaxes", IMAGE, axis1=1, axis2=-1),
    op("moveaxis", IMAGE, source=1, destination=-1),
    op("moveaxis", IMAGE, case="two", source=[1, 3], destination=[2, 1]),
    op("concatenate", [(3, 4), (3, 2)], axis=-1),
    op("concatenate", TWO, case="batch"),
    op("stack", TWO, axis=1),
    op("stack", TWO, case="last", axis=-1),
    op("stack", TWO, case="first"),
    op("split", indices_or_sections=2, axis=-1),
    op("split", [(5, 2)], case="places", indices_or_sections=[1, 3], axis=1),
    op("split", case="one", indices_or_sections=1, axis=1),
    op("unstack", num=3, axis=1),
    op("tile", repeats=[1, 2, 1]),
    op("tile", case="fewer", repeats=2),
    op("tile", case="more", repeats=[2, 1, 1, 2]),
    op("repeat", repeats=2, axis=1),
    op("repeat", case="last", repeats=3, axis=-1),
    op("repeat", case="each", repeats=[1, 2, 3], axis=1),
    op("repeat", case="batch", repeats=2, axis=0),
    op("repeat", case="row", repeats=2),
    op("flip", axis=1),
    op("flip", case="all"),
    op("roll", shift=1, axis=1),
    op("roll", IMAGE, case="two", shift=[-1, 2], axis=[1, 3]),
    op("roll", case="batch", shift=1, axis=0),
    op("roll", case="row", shift=5),
    op("pad", pad_width=[[0, 0], [1, 2], [0, 1]]),
    op("pad", case="value", pad_width=[[0, 0], [1, 0], [0, 0]], constant_values=1.5),
    *(
        op("pad", case=mode, pad_width=[[0, 0], [1, 2], [2, 0]], mode=mode)
        for mode in ("reflect", "symmetric", "edge", "wrap")
    ),
    op("pad", case="batch", pad_width=1),
    op("pad", case="integers", pad_width=[[0, 0], [0, 1], [1, 0]], integers=5),
    op("tril"),
    op("triu", case="above", k=1),
    op("triu"),
    op("tril", case="integers", k=-1, integers=5),
]

INDEXING = [
    op("get_item", case="place", key=[":", 0]),
    op("get_item", key=[":", "1:", "::2"]),
    op("get_item", case="dots", key=["...", -1]),
    op("get_item", case="new-axis", key=[":", None, "...", None]),
    op("get_item", IMAGE, case="mixed", key=[":", -1, None, "::-1", "-3:-1"]),
    op("get_item", case="backwards", key=[":", "::-1", "2:0:-1"]),
    op("get_item", case="batch", key=[0]),
    op("get_item", case="batch-end", key=["1:"]),
    op("take", indices=[0, 2, -1], axis=1),
    op("take", case="place", indices=1, axis=-1),
    op("take", case="row", indices=[0, 1]),
    op("take", case="matrix", indices=[[0, 2], [1, 1]], axis=2),
    op("take", [(3,)], case="table", x=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], axis=0, integers=3),
    op("take_along_axis", indices=[[[0], [2], [1]]], axis=-1),
    op("take_along_axis", case="middle", indices=[[[0, 2, 1, 1]]], axis=1),
    op("take_along_axis", case="row", indices=[0, 2]),
    op("one_hot", num_classes=3, integers=4),
    op("one_hot", case="first", num_classes=5, axis=1, dtype="int32", integers=4),
    op("sort"),
    op("sort", case="first", axis=1),
    op("argsort", smooth=False),
    op("argsort", case="integers", axis=1, integers=3),
    op("top_k", k=2),
    op("cumsum", axis=1),
    op("cumsum", case="row"),
    op("cumsum", case="integers", axis=-1, integers=5),
    op("cumprod", axis=-1),
    op("cumprod", [(7,)], case="seven", axis=1, within=(0.5, 1.2)),
    op("diff"),
    op("diff", case="twice", n=2, axis=1),
]

LINEAR = [
    op("matmul", [(3, 4), (4, 2)]),
    op("matmul", [(2, 3, 4), (1, 4, 5)], case="broadcast"),
    op("matmul", case="constant", x2=[[1, 2.0], [3, 4], [0.5, -1], [0, 1]]),
    op("matmul", case="vector", x2=[1, 2, 3, 4.0]),
    op("matmul", case="left", x1=[[1.0, 2, 3]]),
    op("matmul", [(3, 4), (4, 2)], case="integers", integers=5),
    op("dot", case="vector", x2=[1, 2, 3, 4.0]),
    op("dot", x2=[[1, 2.0], [3, 4], [0.5, -1], [0, 1]]),
    op("dot", case="number", x2=2.0),
    op("inner", x2=[[1, 2, 3, 4.0], [0, 1, 0, -1]]),
    op("einsum", [(3, 4), (5, 4)], subscripts="bij,bkj->bik"),
    op("einsum", TWO, case="dots", subscripts="...i,...i->..."),
    op("einsum", case="one", subscripts="bij->bji"),
    op("einsum", [(2, 3), (3, 2)], case="implicit", subscripts="bij,bjk"),
    op("einsum", [(3, 4), (1, 4)], case="ones", subscripts="bij,bij->bi"),
    op("einsum", case="sum", subscripts="bij->b"),
    op("tensordot", x2=[[1, 2.0], [3, 4], [0.5, -1], [0, 1]], axes=1),
    op("tensordot", case="pair", x2=[[1, 2.0, 3], [3, 4, 5]], axes=[1, 1]),
    op("tensordot", IMAGE, case="lists", x2=[[1, 2.0, 3], [3, 4, 5]], axes=[[1, 2], [0, 1]]),
    op("outer", x2=[1.0, 2.0]),
    op("vdot", TWO),
]

HEADS = [(3, 2, 4), (5, 2, 4), (5, 2, 4)]
GROUPS = [(3, 4, 4), (5, 2, 4), (5, 2, 4)]

NETWORKS = [
    op("max_pool", [(4, 2)], pool_size=2, strides=2),
    op("max_pool", [(4, 5, 2)], case="image", pool_size=[2, 3], strides=1, padding="same"),
    op("average_pool", [(4, 5, 2)], pool_size=2, strides=[2, 1]),
    op(
        "average_pool",
        [(2, 4, 5)],
        case="first",
        pool_size=[2, 2],
        strides=1,
        padding="same",
        data_format="channels_first",
    ),
    op("max_pool", [(2, 4, 2, 1)], case="volume", pool_size=2, strides=1),
    op("image.resize", [(2, 3, 2)], size=[4, 5]),
    op("image.resize", [(4, 4, 2)], case="nearest", size=[2, 2], interpolation="nearest"),
    op("image.resize", [(4, 6, 2)], case="antialias", size=[3, 2], antialias=True),
    op("image.resize", [(2, 4, 6)], case="first", size=[3, 3], data_format="channels_first", interpolation="bicubic"),
    op("image.rgb_to_grayscale", [(2, 2, 3)]),
    op("image.rgb_to_grayscale", [(3, 2, 2)], case="first", data_format="channels_first"),
    op("image.extract_patches", [(4, 6, 2)], size=2),
    op("image.extract_patches", [(5, 6, 2)], case="overlapping", size=[2, 3], strides=[2, 1]),
    op("image.extract_patches", [(5, 6, 1)], case="same", size=3, strides=2, padding="same"),
    op("image.extract_patches", [(5, 6, 1)], case="rate", size=2, strides=1, dilation_rate=2),
    op("depth_to_space", [(2, 3, 8)], block_size=2),
    op("depth_to_space", [(8, 2, 3)], case="first", block_size=2, data_format="channels_first"),
    op("space_to_depth", [(4, 2, 3)], block_size=2),
    op("space_to_depth", [(3, 4, 2)], case="first", block_size=2, data_format="channels_first"),
    op("layer_normalization"),
    op("layer_normalization", case="factors", gamma=[1, 2, 3, 4.0], beta=[0.5, 0, 1, -1], epsilon=1e-3),
    op("layer_normalization", IMAGE, case="two", axis=[1, 3], gamma=[[1.0, 2, 3, 4], [4, 3, 2, 1]]),
    op("rms_normalization"),
    op("rms_normalization", case="scale", scale=[1, 2, 3, 4.0], axis=-1, epsilon=1e-3),
    op("batch_normalization", mean=[0.1, 0.2, 0.3, 0], variance=[1, 2, 3, 4.0], axis=-1),
    op(
        *("batch_normalization", MATRIX),
        case="factors",
        **{"mean": [0.1, 0.2, 0], "variance": [1, 2, 3.0], "offset": [1, 2, 3.0], "scale": [3, 2, 1.0], "axis": 1},
    ),
    op("dot_product_attention", HEADS),
    op("dot_product_attention", [HEADS[0]] * 3, case="causal", is_causal=True, scale=0.7),
    op("dot_product_attention", [*HEADS, (2, 3, 5), (1, 3, 5)], case="mask", masks=(4,)),
    op("dot_product_attention", GROUPS, case="groups"),
]

CASES = [*UNARY, *ACTIVATIONS, *WITH_ARGUMENTS, *BINARY, *REDUCTIONS, *SHAPING, *INDEXING, *LINEAR, *NETWORKS]
