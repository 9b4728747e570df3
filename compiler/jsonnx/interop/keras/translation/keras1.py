"""Converts class and argument names of Keras 1 to the names of Keras 2 and 3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....core.components import Json

KERAS1_NAMES = frozenset(
    [
        *("nb_filter", "border_mode", "subsample", "dim_ordering", "W_regularizer", "b_regularizer", "inner_init"),
        *("inner_activation", "nb_row", "filter_length", "subsample_length", "pool_length", "consume_less"),
        *("dropout_W", "Convolution2D", "Convolution1D"),
    ]
)
"""Names that occur only in files of Keras 1."""

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
"""Argument names by class. Arguments about weights and windows have the same names in all classes."""

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
"""The class that replaces `Merge`, by mode."""

_REGULARIZER_RENAMES = dict.fromkeys(("WeightRegularizer", "L1L2Regularizer", "ActivityRegularizer"), "L1L2")

_IGNORED_ARGUMENTS = ("input_dim", "consume_less", "input_shape")


def upgrade_keras1_layer(kind: str, config: dict[str, Json]) -> tuple[str, dict[str, Json], dict[str, str]]:
    """Class and arguments of a layer in Keras 2, and the original names of renamed arguments."""
    kind = _CLASS_RENAMES.get(kind, kind)
    renames = {**_WEIGHT_ARGUMENTS, **_WINDOW_ARGUMENTS, **_CLASS_ARGUMENTS.get(kind, {})}
    arguments: dict[str, Json] = {}
    original_names: dict[str, str] = {}
    for key, value in config.items():
        name = renames.get(key, key)
        is_vocabulary_size = kind == "Embedding" and key == "input_dim"
        is_ignored = key in _IGNORED_ARGUMENTS or (key.endswith("_length") and name == key)
        if is_vocabulary_size or not is_ignored:
            arguments[name] = _upgrade_value(value)
            original_names[name] = key
    _upgrade_sizes(arguments, original_names)
    _upgrade_class_arguments(kind, arguments)
    if kind == "Merge":
        kind = _upgrade_merge(arguments, config)
    return kind, arguments, {new: old for new, old in original_names.items() if new != old}


def _upgrade_value(value: Json) -> Json:
    """Converts an object with `name` to one with `class_name` and `config`; returns other values unchanged."""
    if isinstance(value, dict) and isinstance(value.get("name"), str) and "class_name" not in value:
        config: dict[str, Any] = {key: item for key, item in value.items() if key != "name"}
        if "m" in config:
            config["max_value"] = config.pop("m")
        return {"class_name": _REGULARIZER_RENAMES.get(value["name"], value["name"]), "config": config}
    return value


def _upgrade_sizes(arguments: dict[str, Json], original_names: dict[str, str]) -> None:
    """Merges kernel sizes that are separate arguments, and converts the data format."""
    for keys in (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3")):
        if keys[0] in arguments:
            arguments["kernel_size"] = [arguments.pop(key, None) for key in keys]
            original_names["kernel_size"] = keys[0]
    if "dim_ordering" in arguments:
        order = arguments.pop("dim_ordering")
        formats = {"tf": "channels_last", "th": "channels_first", "default": "channels_last"}
        arguments["data_format"] = formats.get(order, order) if isinstance(order, str) else order
        original_names["data_format"] = "dim_ordering"


def _upgrade_class_arguments(kind: str, arguments: dict[str, Json]) -> None:
    """Makes the defaults of Keras 1 explicit, and removes arguments without effect."""
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
    """Returns the class that replaces a `Merge`, and replaces its arguments; `Merge` for an unknown mode."""
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
