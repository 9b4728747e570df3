"""Layers for recognised columns and a recognised target: preprocessing, a network of fitting size, the output."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...core.date_formats import ISO_FORMAT
from ...core.reserved_names import LEARNING_RATE, LOSS, OPTIMIZER_SCOPE, ROW_INDICES
from .recognise_columns import RecognisedColumn
from .recognise_target import RecognisedTarget

Layer = dict[str, Any]

MAX_ONE_HOT_CATEGORIES = 100
"""Maximum number of categories for one-hot vectors. Columns with more get an Embedding."""
MAX_EMBEDDING_SIZE = 32
MAX_TEXT_WORDS = 256
MAX_VOCABULARY = 20_000
REPLACEMENT = "unknown"
"""The text in place of a missing one."""
SMALL_ROW_COUNT, MEDIUM_ROW_COUNT, LARGE_ROW_COUNT = 500, 1_500, 10_000
"""Numbers of rows that separate networks of different sizes; those of rare classes count less."""
UNPENALIZED_KINDS = {"image", "text", "sequence"}
"""Kinds of columns whose networks have weights that a penalty would bind too much."""
MIN_POOLED_SIZE = 8
"""The least height and width of feature maps that are pooled."""


SMALL_ROW_EPOCHS = 100


@dataclass(frozen=True)
class NetworkSize:
    """What follows from the number of rows."""

    units: tuple[int, ...]
    dropout: float
    cosines: int
    """Cosines of each number; none if 0."""
    frequency: float
    """The standard deviation of the initial frequencies of cosines, in radians for each standard deviation."""
    penalty: float
    """Penalty of squared weights, divided by the number of rows."""
    learning_rate: float


SMALL, MEDIUM, LARGE = (
    NetworkSize((32,), 0.3, 0, 0.0, 2.0, 0.003),
    NetworkSize((32,), 0.6, 8, 1.0, 2.0, 0.001),
    NetworkSize((128, 128), 0.2, 12, 2.0, 1.0, 0.003),
)
MAX_PERIODIC_NUMBERS = 100
"""Maximum count of numbers that have periodic features. More of them are pixels or measurements in a series."""
NUMBER_PENALTY = 2.5
"""The factor of the penalty if all targets are numbers, whose errors are larger than those of classes."""


def informative_row_count(targets: Sequence[RecognisedTarget], row_count: int) -> int:
    """The number of rows that would tell as much about the target if its two classes were equally frequent."""
    shares = [max(0.5, target.largest_share) for target in targets if target.has_two_classes]
    return round(row_count * min((4 * share * (1 - share) for share in shares), default=1.0))


def network_size(targets: Sequence[RecognisedTarget], row_count: int) -> NetworkSize:
    """The size of a network for a table of numbers and categories."""
    count = informative_row_count(targets, row_count)
    return SMALL if count < SMALL_ROW_COUNT else MEDIUM if count < MEDIUM_ROW_COUNT else LARGE


def needs_no_validation(
    columns: Sequence[RecognisedColumn], targets: Sequence[RecognisedTarget], row_count: int
) -> bool:
    """Whether a penalty keeps the network from overfitting, so that all rows are for training."""
    return is_penalized(columns) and network_size(targets, row_count) is SMALL


def is_penalized(columns: Sequence[RecognisedColumn]) -> bool:
    """Whether large weights of the network are penalized."""
    return not {column.kind for column in columns} & UNPENALIZED_KINDS


@dataclass
class InitialNetwork:
    """The parts of a spec that describe the network, and the columns of its inputs."""

    inputs: dict[str, Any] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    columns: dict[str, str | list[str]] = field(default_factory=dict)
    """The columns of the inputs that have other names than theirs."""
    outputs: list[str] = field(default_factory=list)
    """The names of the outputs, in the order of the targets."""

    def new_name(self, column: str) -> str:
        """A name for the input or output of a column, which no other has."""
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", column).strip("_-") or "column"
        if name.lower() in (LEARNING_RATE, LOSS, OPTIMIZER_SCOPE, ROW_INDICES):
            name = f"{name}_column"
        used = {*self.inputs, *self.outputs, *(layer.get("name", "") for layer in self.layers)}
        numbered = [name, *(f"{name}_{number}" for number in range(2, len(used) + 3))]
        return next(candidate for candidate in numbered if candidate not in used)


def initial_network(
    columns: Sequence[RecognisedColumn], targets: Sequence[RecognisedTarget], row_count: int
) -> InitialNetwork:
    """The network for some columns. At least one must be used."""
    network = InitialNetwork()
    for target in targets:
        network.outputs.append(network.new_name(target.name))
    features = _number_features(network, columns)
    for column in columns:
        if column.kind in _FEATURES:
            features.append(_FEATURES[column.kind](network, column, row_count))
    numbers = [layer["name"] for layer in network.layers if layer["type"] == "Normalization"]
    joined = _joined(network, "features", features)
    if not is_penalized(columns):
        _add_summary(network, joined, columns, row_count)
        _add_outputs(network, targets, {})
        return network
    size = network_size(targets, row_count)
    factor = size.penalty / row_count
    if all(target.task == "regression" for target in targets):
        factor *= NUMBER_PENALTY
    penalty = {"kernel_regularizer": {"type": "L2", "l2": float(f"{factor:.2g}")}}
    number_count = sum(max(column.shape, default=1) for column in columns if column.kind in ("number", "vector"))
    has_cosines = numbers and size.cosines and number_count <= MAX_PERIODIC_NUMBERS
    deep = [joined, _periodic_features(network, numbers, size)] if has_cosines else [joined]
    _add_hidden_layers(network, joined, _joined(network, "features_and_cosines", deep), size, row_count, penalty)
    _add_outputs(network, targets, penalty)
    return network


# -- preprocessing -----------------------------------------------------------------------------------------------------


def _add_input(network: InitialNetwork, column: RecognisedColumn, description: str, dtype: str | None = None) -> str:
    name = network.new_name(column.name)
    network.inputs[name] = {
        "shape": list(column.shape),
        **({"dtype": dtype} if dtype else {}),
        "description": description,
    }
    if name != column.name:
        network.columns[name] = column.name
    return name


def _add_text_input(network: InitialNetwork, column: RecognisedColumn, description: str) -> tuple[str, str]:
    """The name of an input of texts, and of the layer that replaces missing ones, or else of the input."""
    if not column.has_missing:
        name = _add_input(network, column, description, "string")
        return name, name
    name = _add_input(network, column, f"{description} {REPLACEMENT!r} replaces missing texts.", "string")
    settings = {"strategy": "constant", "fill_value": REPLACEMENT}
    return name, _add_layer(network, f"{name}_filled", "Imputation", name, **settings)


def _add_layer(network: InitialNetwork, name: str, type: str, source: str | list[str], **arguments: Any) -> str:
    name = network.new_name(name)
    network.layers.append({"type": type, "name": name, "from": source, **arguments})
    return name


def _number_features(network: InitialNetwork, columns: Sequence[RecognisedColumn]) -> list[str]:
    """One input for all columns of numbers, and one for columns with missing numbers.

    If any number is missing, rows that are read later may lack those that all present rows have.
    """
    features = []
    may_be_missing = any(column.kind == "number" and column.has_missing for column in columns)
    for has_missing, stacked_name in ((False, "numbers"), (True, "numbers_with_gaps")):
        names = [column.name for column in columns if column.kind == "number" and column.has_missing == has_missing]
        if not names:
            continue
        name = network.new_name(stacked_name if len(names) > 1 else names[0])
        noun = "column" if len(names) == 1 else "columns"
        description = f"{len(names)} {noun} of numbers, scaled to mean 0 and variance 1 of the training data."
        if has_missing:
            description += " The median replaces missing numbers; another column tells where."
        elif may_be_missing:
            description += " The median would replace missing numbers."
        network.inputs[name] = {"shape": [len(names)], "description": description}
        if names != [name]:
            network.columns[name] = names
        source = name
        if may_be_missing:
            settings = {"strategy": "median", **({"indicator": True} if has_missing else {})}
            source = _add_layer(network, f"{name}_filled", "Imputation", name, **settings)
        features.append(_add_layer(network, f"{name}_scaled", "Normalization", source))
    return features


def _date_feature(network: InitialNetwork, column: RecognisedColumn, row_count: int) -> str:
    names = ["year", "month", "day", "weekday", *(["hour", "minute"] if column.has_time else [])]
    description = f"Dates, as {', '.join(names)}; those that repeat are points on a circle."
    if column.has_missing:
        description += " The mean replaces missing dates; further columns tell where."
    name = _add_input(network, column, description, "string")
    settings = {} if column.formats == (ISO_FORMAT,) else {"formats": list(column.formats)}
    numbers = _add_layer(network, f"{name}_numbers", "DateFeatures", name, features=names, cyclic=True, **settings)
    if column.has_missing:
        numbers = _add_layer(network, f"{name}_filled", "Imputation", numbers, strategy="mean", indicator=True)
    return _add_layer(network, f"{name}_scaled", "Normalization", numbers)


def _code_feature(network: InitialNetwork, column: RecognisedColumn, row_count: int) -> str:
    description = f"Integers with {column.distinct} different values, one-hot encoded."
    name = _add_input(network, column, description, "int64")
    vocabulary = list(column.codes)
    return _add_layer(network, f"{name}_one_hot", "IntegerLookup", name, vocabulary=vocabulary, output_mode="one_hot")


def _category_feature(network: InitialNetwork, column: RecognisedColumn, row_count: int) -> str:
    tokens = column.distinct + 1  # one for categories that the training data lack
    if column.distinct <= MAX_ONE_HOT_CATEGORIES:
        name, source = _add_text_input(network, column, f"{column.distinct} categories, one-hot encoded.")
        settings = {"max_tokens": tokens, "output_mode": "one_hot", "pad_to_max_tokens": True}
        return _add_layer(network, f"{name}_one_hot", "StringLookup", source, **settings)
    size = min(MAX_EMBEDDING_SIZE, round(1.6 * column.distinct**0.56))
    description = f"{column.distinct:,} categories, each with a learned vector of {size} numbers."
    name, source = _add_text_input(network, column, description)
    index = _add_layer(network, f"{name}_index", "StringLookup", source, max_tokens=tokens)
    return _add_layer(network, f"{name}_vector", "Embedding", index, input_dim=tokens, output_dim=size)


def _text_feature(network: InitialNetwork, column: RecognisedColumn, row_count: int) -> str:
    length, tokens = min(MAX_TEXT_WORDS, column.word_count), min(MAX_VOCABULARY, column.vocabulary_size + 2)
    tokens = max(tokens, 16)
    description = f"Text, of which the first {length} words are read; the vectors of words are averaged."
    name, source = _add_text_input(network, column, description)
    settings = {"max_tokens": tokens, "output_sequence_length": length}
    words = _add_layer(network, f"{name}_words", "TextVectorization", source, **settings)
    vectors = _add_layer(
        network, f"{name}_vectors", "Embedding", words, input_dim=tokens, output_dim=32, mask_zero=True
    )
    return _add_layer(network, f"{name}_mean", "GlobalAveragePooling1D", vectors)


def _vector_feature(network: InitialNetwork, column: RecognisedColumn, row_count: int) -> str:
    description = "Vectors of numbers, scaled to mean 0 and variance 1 of the training data."
    name = _add_input(network, column, description)
    return _add_layer(network, f"{name}_scaled", "Normalization", name)


def _sequence_feature(network: InitialNetwork, column: RecognisedColumn, row_count: int) -> str:
    description = f"Sequences of {column.shape[0]} steps with {column.shape[1]} numbers each."
    name = _add_input(network, column, description)
    scaled = _add_layer(network, f"{name}_scaled", "Normalization", name)
    layer = {"type": "LSTM", "units": 32 if row_count < SMALL_ROW_COUNT else 64}
    return _add_layer(network, f"{name}_summary", "Bidirectional", scaled, layer=layer)


def _image_feature(network: InitialNetwork, column: RecognisedColumn, row_count: int) -> str:
    """Blocks of a convolution and a pooling, until the feature maps are small."""
    height, width, channels = column.shape
    description = f"Images of {height} x {width} pixels and {channels} {'channel' if channels == 1 else 'channels'}."
    name = _add_input(network, column, description)
    scale = 1.0 / max(abs(column.low), abs(column.high), 1e-6)
    source = _add_layer(network, f"{name}_scaled", "Rescaling", name, scale=round(scale, 8))
    filters = 32
    while True:
        settings = {"filters": filters, "kernel_size": 3, "padding": "same", "activation": "relu"}
        source = _add_layer(network, f"{name}_conv_{filters}", "Conv2D", source, **settings)
        if min(height, width) < MIN_POOLED_SIZE:
            break
        source = _add_layer(network, f"{name}_pool_{filters}", "MaxPooling2D", source)
        height, width, filters = height // 2, width // 2, filters * 2
        if min(height, width) < MIN_POOLED_SIZE and filters > 64:
            break
    return _add_layer(network, f"{name}_flat", "Flatten" if height * width <= 64 else "GlobalAveragePooling2D", source)


_FEATURES = {
    "code": _code_feature,
    "category": _category_feature,
    "text": _text_feature,
    "date": _date_feature,
    "vector": _vector_feature,
    "sequence": _sequence_feature,
    "image": _image_feature,
}


# -- network and output ------------------------------------------------------------------------------------------------


def _joined(network: InitialNetwork, name: str, sources: list[str]) -> str:
    return sources[0] if len(sources) == 1 else _add_layer(network, name, "Concatenate", sources)


def _periodic_features(network: InitialNetwork, numbers: list[str], size: NetworkSize) -> str:
    """Cosines of numbers, with which a network learns steps and peaks (Gorishniy et al., 2022)."""
    source = _joined(network, "scaled_numbers", numbers)
    settings = {"equation": "bf,fk->bfk", "output_shape": [None, size.cosines], "bias_axes": "fk"}
    initial = {
        "kernel_initializer": {"type": "RandomNormal", "stddev": size.frequency},
        "bias_initializer": {"type": "RandomUniform", "minval": -3.14, "maxval": 3.14},
    }
    source = _add_layer(network, "frequencies", "EinsumDense", source, **settings, **initial)
    network.layers[-1]["description"] = (
        f"{size.cosines} cosines of each number, with learned frequencies: the network finds steps and peaks."
    )
    source = _add_layer(network, "cosines", "ops.cos", source)
    return _add_layer(network, "flat_cosines", "Flatten", source)


def _add_summary(network: InitialNetwork, features: str, columns: Sequence[RecognisedColumn], row_count: int) -> None:
    """What follows the network of images, sequences and texts."""
    rate = 0.3 if row_count >= SMALL_ROW_COUNT else 0.4
    network.layers.append({"type": "Dropout", "rate": rate, "from": features})
    if all(column.kind != "text" for column in columns):
        network.layers.append({"type": "Dense", "units": 64, "activation": "relu"})


def _add_hidden_layers(
    network: InitialNetwork, features: str, source: str, size: NetworkSize, row_count: int, penalty: Layer
) -> None:
    """Hidden layers on `source`. The output also reads the features, so that it is no worse than a linear model."""
    noun = "One hidden layer suits" if len(size.units) == 1 else f"{len(size.units)} hidden layers suit"
    for number, units in enumerate(size.units, 1):
        settings = {"units": units, "activation": "relu", **penalty}
        source = _add_layer(network, f"hidden_{number}", "Dense", source, **settings)
        if number == 1:
            network.layers[-1]["description"] = f"{noun} {row_count:,} rows."
        source = _add_layer(network, f"dropout_{number}", "Dropout", source, rate=size.dropout)
    description = "The output also reads the features, so that it learns a linear relation at once."
    _add_layer(network, "wide_and_deep", "Concatenate", [features, source], description=description)


def _add_outputs(network: InitialNetwork, targets: Sequence[RecognisedTarget], penalty: Layer) -> None:
    source: dict[str, str] = {}
    if len(targets) > 1:
        last = network.layers[-1]
        source = {"from": last.setdefault("name", network.new_name("representation"))}
    for name, target in zip(network.outputs, targets, strict=True):
        settings = _output_settings(target)
        network.layers.append({"type": "Dense", "name": name, **source, **settings, **penalty})


def _output_settings(target: RecognisedTarget) -> dict[str, Any]:
    settings: dict[str, Any]
    if target.task == "regression":
        units, settings = 1, {"description": "The number, in the unit of the data: `training.target` scales it."}
    elif target.has_several_labels:
        units, settings = target.class_count, {"activation": "sigmoid", "description": "The probability of each label."}
    elif target.is_binary:
        units, settings = 1, {"activation": "sigmoid", "description": "The probability of the second class."}
    else:
        units, settings = target.class_count, {"activation": "softmax", "description": "The probability of each class."}
    return {"units": units, **settings}
