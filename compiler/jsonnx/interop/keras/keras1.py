"""Keras 1's names of classes and arguments, in Keras 2's and 3's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.components import Json

KERAS1_NAMES = frozenset(
    [
        *("nb_filter", "border_mode", "subsample", "dim_ordering", "W_regularizer", "b_regularizer", "inner_init"),
        *("inner_activation", "nb_row", "filter_length", "subsample_length", "pool_length", "consume_less"),
        *("dropout_W", "Convolution2D", "Convolution1D"),
    ]
)
"""What nobody but Keras 1 wrote."""

_WEIGHT_ARGUMENTS = {
    "init": "kernel_initializer",
    "inner_init": "recurrent_initializer",
    "W_regularizer": "kernel_regularizer",
    "U_regularizer": "recurrent_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "U_constraint": "recurrent_constraint",
    "b_constraint": "bias_constraint",
    "bias": "use_bias",
}

_WINDOW_ARGUMENTS = {
    "nb_filter": "filters",
    "border_mode": "padding",
    "subsample": "strides",
    "subsample_length": "strides",
    "filter_length": "kernel_size",
    "atrous_rate": "dilation_rate",
    "pool_length": "pool_size",
    "stride": "strides",
    "depthwise_init": "depthwise_initializer",
    "pointwise_init": "pointwise_initializer",
}

_RECURRENT_ARGUMENTS = {
    "output_dim": "units",
    "inner_activation": "recurrent_activation",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
}

_CLASS_ARGUMENTS: dict[str, Mapping[str, str]] = {
    "Dense": {"output_dim": "units"},
    "LSTM": _RECURRENT_ARGUMENTS,
    "GRU": _RECURRENT_ARGUMENTS,
    "SimpleRNN": _RECURRENT_ARGUMENTS,
    "Dropout": {"p": "rate"},
    "SpatialDropout1D": {"p": "rate"},
    "SpatialDropout2D": {"p": "rate"},
    "SpatialDropout3D": {"p": "rate"},
    "GaussianDropout": {"p": "rate"},
    "GaussianNoise": {"sigma": "stddev"},
    "UpSampling1D": {"length": "size"},
    "BatchNormalization": {"gamma_init": "gamma_initializer", "beta_init": "beta_initializer"},
    "Embedding": {
        "init": "embeddings_initializer",
        "W_regularizer": "embeddings_regularizer",
        "W_constraint": "embeddings_constraint",
    },
    "PReLU": {"init": "alpha_initializer"},
}
"""By class, the names that are its own; those of weights and windows are the same everywhere."""

_CLASS_RENAMES = {
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "Deconvolution3D": "Conv3DTranspose",
    "TimeDistributedDense": "Dense",
}

MERGE_MODES = {
    "sum": "Add",
    "mul": "Multiply",
    "ave": "Average",
    "max": "Maximum",
    "concat": "Concatenate",
    "dot": "Dot",
    "cos": "Dot",
}
"""What `Merge` is by its mode."""

_IGNORED_ARGUMENTS = ("input_dim", "consume_less", "input_shape")


def upgrade_keras1_layer(kind: str, config: dict[str, Json]) -> tuple[str, dict[str, Json], dict[str, str]]:
    """A class, its arguments and the names they had."""
    kind = _CLASS_RENAMES.get(kind, kind)
    renamed = {**_WEIGHT_ARGUMENTS, **_WINDOW_ARGUMENTS, **_CLASS_ARGUMENTS.get(kind, {})}
    given: dict[str, Json] = {}
    places: dict[str, str] = {}
    for key, value in config.items():
        new = renamed.get(key, key)
        if kind == "Embedding" and key == "input_dim":
            new = key
        elif key in _IGNORED_ARGUMENTS or (key.endswith("_length") and new == key):
            continue
        given[new] = _upgrade_value(new, value)
        places[new] = key
    _upgrade_sizes(given, places)
    _upgrade_class_arguments(kind, given)
    if kind == "Merge":
        kind = _upgrade_merge(given, config)
    return kind, given, {new: old for new, old in places.items() if new != old}


def _upgrade_value(key: str, value: Json) -> Json:
    """A value in today's words; objects with `name` become objects with `class_name`."""
    if isinstance(value, dict) and isinstance(value.get("name"), str) and "class_name" not in value:
        rest: dict[str, Any] = {name: item for name, item in value.items() if name != "name"}
        kind = {"WeightRegularizer": "L1L2", "L1L2Regularizer": "L1L2", "ActivityRegularizer": "L1L2"}
        if "m" in rest:
            rest["max_value"] = rest.pop("m")
        return {"class_name": kind.get(value["name"], value["name"]), "config": rest}
    return value


def _upgrade_sizes(arguments: dict[str, Json], original_names: dict[str, str]) -> None:
    """Sizes and orders that were written otherwise."""
    for keys in (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3")):
        if keys[0] in arguments:
            arguments["kernel_size"] = [arguments.pop(key, None) for key in keys]
            original_names["kernel_size"] = keys[0]
    if "dim_ordering" in arguments:
        order = arguments.pop("dim_ordering")
        words = {"tf": "channels_last", "th": "channels_first", "default": "channels_last"}
        arguments["data_format"] = words.get(order, order) if isinstance(order, str) else order
        original_names["data_format"] = "dim_ordering"


def _upgrade_class_arguments(kind: str, arguments: dict[str, Json]) -> None:
    """What classes did otherwise."""
    if kind == "LSTM":
        arguments["unit_forget_bias"] = arguments.pop("forget_bias_init", "one") in ("one", "ones")
    if kind in ("LSTM", "GRU", "SimpleRNN"):
        arguments.setdefault("use_bias", True)
    if kind == "GRU":
        arguments["reset_after"] = False
    if kind == "BatchNormalization" and arguments.get("mode") in (0, None):
        arguments.pop("mode", None)
    if kind == "Embedding" and arguments.get("dropout") in (0, None):
        arguments.pop("dropout", None)


def _upgrade_merge(arguments: dict[str, Json], config: Mapping[str, Json]) -> str:
    """The class that `Merge` stands for; its arguments are left."""
    mode = config.get("mode", "sum")
    kind = MERGE_MODES.get(mode, "Merge") if isinstance(mode, str) else "Merge"
    if kind == "Merge":
        return kind
    name = arguments.get("name")
    axes, axis = config.get("dot_axes"), config.get("concat_axis", -1)
    arguments.clear()
    arguments["name"] = name
    if kind == "Concatenate":
        arguments["axis"] = axis
    if kind == "Dot":
        arguments |= {"axes": axes if isinstance(axes, (int, list)) else 1, "normalize": mode == "cos"}
    return kind
