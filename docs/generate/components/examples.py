"""Whole specs that show components: every one is valid, and tests train it or run its model."""

from __future__ import annotations

from typing import Any

from jsonnx.core.components import Component, Json
from jsonnx.core.types import BATCH, Size, TensorType
from jsonnx.layers import Layer
from jsonnx.render.reference.component_reference import example_shapes, registry_of, required_arguments, spec_name
from jsonnx.render.reference.reference_examples import FURTHER_EXAMPLES

Spec = dict[str, Any]

# -- layers ----------------------------------------------------------------------------------------------------------


def layer_spec(layer: type[Component]) -> Spec:
    """The shortest spec of a network with a layer."""
    spec = _shortest_layer_spec(layer) or network_spec(layer)
    assert spec, f"FURTHER_EXAMPLES needs a network with {layer.type_name}"
    return spec


def network_spec(layer: type[Component]) -> Spec | None:
    """The further example of a layer, if it has one."""
    example = FURTHER_EXAMPLES.get(layer.type_name)
    return {"inputs": example.inputs, "layers": example.layers} if example else None


def _shortest_layer_spec(layer: type[Component]) -> Spec | None:
    """A network of a layer alone; None if it takes tensors without batch axis, or its result is no output."""
    example = example_shapes(layer)[0]
    types = (*example.inputs, *example.outputs)
    if not example.inputs or any(type.shape[:1] != (BATCH,) for type in types) or _as_layer(layer).adds_input:
        return None
    count = len(example.inputs)
    names = ["x"] if count == 1 else [*(getattr(layer, "tensors", ())[:count] or "abcde"[:count])]
    inputs = {name: _input_json(type) for name, type in zip(names, example.inputs, strict=True)}
    source = {"from": names} if count > 1 else {}
    return {"inputs": inputs, "layers": [{"type": layer.type_name, **source, **required_arguments(layer)}]}


def _as_layer(layer: type[Component]) -> type[Layer]:
    assert issubclass(layer, Layer)
    return layer


def _input_json(type: TensorType) -> Json:
    shape: list[Json] = [str(size) if isinstance(size, Size) else size for size in type.shape[1:]]
    return {"shape": shape, **({} if type.dtype == "float32" else {"dtype": type.dtype})}


# -- other components ------------------------------------------------------------------------------------------------

VECTOR: Spec = {"x": {"shape": [8]}}
IMAGE: Spec = {"image": {"shape": [16, 16, 3]}}

NUMBER: Spec = {"inputs": VECTOR, "layers": [{"type": "Dense", "units": 1}]}
VECTORS: Spec = {"inputs": VECTOR, "layers": [{"type": "Dense", "units": 4}]}
PROBABILITY: Spec = {"inputs": VECTOR, "layers": [{"type": "Dense", "units": 1, "activation": "sigmoid"}]}
SIGN: Spec = {"inputs": VECTOR, "layers": [{"type": "Dense", "units": 1, "activation": "tanh"}]}
COUNT: Spec = {"inputs": VECTOR, "layers": [{"type": "Dense", "units": 1, "activation": "exponential"}]}
CLASSES: Spec = {"inputs": VECTOR, "layers": [{"type": "Dense", "units": 3, "activation": "softmax"}]}
QUANTILES: Spec = {"inputs": VECTOR, "layers": [{"type": "Dense", "units": 3}]}
EMBEDDING: Spec = {"inputs": VECTOR, "layers": [{"type": "Dense", "units": 4}, {"type": "UnitNormalization"}]}
PIXELS: Spec = {
    "inputs": IMAGE,
    "layers": [{"type": "Conv2D", "filters": 1, "kernel_size": 3, "padding": "same", "activation": "sigmoid"}],
}
CHARACTERS: Spec = {
    "inputs": {"x": {"shape": ["time", 8]}},
    "layers": [{"type": "LSTM", "units": 16, "return_sequences": True}, {"type": "Dense", "units": 6}],
}
STFT: Spec = {
    "inputs": {"sound": {"shape": ["samples", 1]}},
    "layers": [{"type": "Conv1D", "filters": 129, "kernel_size": 256, "strides": 64, "kernel_initializer": "stft"}],
}
"""A network with the only initializer that needs a kernel of a certain shape."""

NETWORKS: dict[str, Spec] = {
    "circle": EMBEDDING,
    "cosine_similarity": VECTORS,
    "ctc": CHARACTERS,
    "dice": PIXELS,
    "hinge": SIGN,
    "poisson": COUNT,
    "quantile": QUANTILES,
    "squared_hinge": SIGN,
    "tversky": PIXELS,
    **dict.fromkeys(("categorical_hinge", "kl_divergence", "confusion_matrix", "f1_score", "fbeta_score"), CLASSES),
    **dict.fromkeys(("io_u", "mean_io_u", "one_hot_io_u", "one_hot_mean_io_u"), CLASSES),
    **dict.fromkeys(
        ("accuracy", "auc", "precision", "recall", "precision_at_recall", "recall_at_precision"), PROBABILITY
    ),
    **dict.fromkeys(("true_positives", "false_positives", "true_negatives", "false_negatives"), PROBABILITY),
    **dict.fromkeys(("sensitivity_at_specificity", "specificity_at_sensitivity", "binary_io_u"), PROBABILITY),
    **dict.fromkeys(("interval_coverage", "mean_pinball_loss"), QUANTILES),
}
"""Networks whose output a loss or metric takes, where its name does not say it."""

VALUES: dict[str, Json] = {"l1_l2": {"type": "l1_l2", "l1": 0.001, "l2": 0.001}}
"""Components that are without effect by default."""

SPARSE_TARGETS = ("sparse_categorical_crossentropy", "confusion_matrix", "io_u", "mean_io_u")
"""Losses and metrics whose target is the number of the class."""


def component_spec(component: type[Component]) -> Spec:
    """The shortest spec with a component that is not a layer."""
    kind, value = registry_of(component).kind, component_value(component)
    if kind in ("loss", "metric"):
        return _scored_spec(kind, component.type_name, value)
    if kind in ("optimizer", "schedule", "tracker"):
        return {**NUMBER, "training": {"loss": "mse", **_training_key(kind, value)}}
    if kind == "relative_position":
        attention = {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 8, "from": ["x", "x"]}
        return {"inputs": {"x": {"shape": ["time", 16]}}, "layers": [attention | {"relative_position": value}]}
    if component.type_name == "stft":
        return STFT
    layer: Spec = {"type": "Dense", "units": 8, f"{'' if kind == 'activation' else 'kernel_'}{kind}": value}
    training = {"training": {"loss": "mse"}} if kind in ("regularizer", "constraint") else {}
    return {"inputs": VECTOR, "layers": [layer], **training}


def component_value(component: type[Component]) -> Json:
    """The shortest value that is the component: its name, or an object with the required arguments."""
    name, arguments = spec_name(component), required_arguments(component)
    return VALUES.get(name, {"type": name, **arguments} if arguments else name)


def _training_key(kind: str, value: Json) -> Spec:
    if kind == "schedule":
        return {"optimizer": {"type": "adam", "learning_rate": value}}
    return {"trackers": [value]} if kind == "tracker" else {"optimizer": value}


def _scored_spec(kind: str, name: str, value: Json) -> Spec:
    """A network that a loss or a metric fits."""
    network = NETWORKS.get(name) or _network_by_name(name)
    if kind == "loss":
        return {**network, "training": {"loss": value}}
    return {**network, "training": {"loss": _loss_for(name, network), "metrics": [value]}}


def _network_by_name(name: str) -> Spec:
    return PROBABILITY if "binary" in name else CLASSES if "categorical" in name else NUMBER


def _loss_for(metric: str, network: Spec) -> str:
    """The usual loss of a network whose metric has this name."""
    if network is CLASSES:
        is_sparse = "sparse" in metric or metric in SPARSE_TARGETS
        return "sparse_categorical_crossentropy" if is_sparse else "categorical_crossentropy"
    losses = {
        id(PROBABILITY): "binary_crossentropy",
        id(QUANTILES): "quantile",
        id(COUNT): "poisson",
        id(SIGN): "hinge",
    }
    return losses.get(id(network), "mse")
