"""The small networks that are compared with Keras: one for every layer case, and networks of everything else.

Excluded, because jsonnx differs from Keras 3.15 on JAX on purpose:
- MultiHeadAttention with a value_dim that is not key_dim, without scores: Keras fails;
- SpectralNormalization of an Embedding: its outputs are integers, which have no loss;
- SpectralNormalization of a frozen layer: Keras trains its kernel;
- RandomCrop: in inference Keras does not crop images, so that their shape differs from the inferred one;
- Equalization: in a functional model of Keras it is connected to itself (called directly it computes the same);
- an adapted Discretization: in Keras its boundaries are not weights (see `tests/unit/runtime/test_adapt.py`);
- an activity regularizer on SimpleRNN: Keras ignores it;
- an activity regularizer on a shared layer: in training Keras drops the penalties of all calls but the last, although
  `model.losses` has all of them;
- adaptive pooling to 7, 13, 14 or 15 windows of some sizes (3, 6, 7, 11 to 14, ... to 7): Keras computes the ends of
  windows in float32, so that the last window is too long and has NaN or wrong elements;
- ops.broadcast_to with the size of the batch: Keras cannot express it;
- LayerScale: in Keras its weight has no name;
- an orthogonal regularizer of a single row or column: in Keras its penalty is NaN;
- layers of KerasHub: `test_keras_hub.py` compares them;
- functions that create tensors: Keras calls them while a model is built;
- AddLoss: Keras has it as a method of layers;
- Imputation, DateFeatures, OnnxModel, Tokenizer and Variable: Keras has no such layers;
- R2Score weighted by the variance: Keras cannot trace it on JAX; `unit/training/test_metrics.py` has recorded values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import unit.layers.cases
import unit.layers.cases.creation
import unit.layers.cases.positions
import unit.layers.cases.variable
from attention_masks import STACKED
from jsonnx import CompileError, Trainer
from jsonnx.core.types import BATCH
from jsonnx.lowering.check_augmentation import is_host_augmentation
from recurrent_masks import RECURRENT_LAYERS, timed
from support.harness import make_layer
from support.harness import one_layer as one_layer_network
from unit.training import cases as training

Document = dict[str, Any]

LAYERS_KERAS_LACKS = (
    *("DateFeatures", "Imputation", "LocalResponseNormalization", "OnnxModel", "SequenceMask", "Tokenizer"),
)

LEFT_OUT = {
    *("ops-broadcast-to", "layer-scale", "add-loss", "add-loss-sum"),
    *("heads-value-dim", "spectral-embedding", "spectral-frozen"),
    *("discretization-learned", "discretization-learned-one-hot"),
    *(f"RandomCrop{kind}" for kind in ("", "-larger", "-first")),
    *(f"equalization{kind}" for kind in ("", "-bins", "-default", "-integers", "-first")),
    *(case.id for case in (*unit.layers.cases.positions.CASES, *unit.layers.cases.creation.CASES)),
    *(case.id for case in unit.layers.cases.variable.CASES),
    *(case.id for case in unit.layers.cases.all_cases() if case.layer["type"] in LAYERS_KERAS_LACKS),
}

LOOKUPS = {"StringLookup", "IntegerLookup", "TextVectorization"}
"""Layers that need TensorFlow in Keras: recorded by `record_lookups.py`, compared by `unit/layers/test_lookup.py`."""

SGD = {"type": "SGD", "learning_rate": 0.1}


class Network(NamedTuple):
    """A spec with a training section; `target` is the kind of its targets (see `training.cases.draw`).

    `integers` is the exclusive upper bound of integer inputs, `sizes` has the value of symbolic sizes at each step.
    `evaluated` compares metrics in evaluation: in training on JAX, Keras 3.15 ignores masks in metrics.
    """

    id: str
    spec: Document
    target: str = "real"
    integers: int | None = None
    sizes: tuple[int, ...] = (5, 5, 5)
    batch: int = 3
    evaluated: bool = False


def all_networks() -> list[Network]:
    return [
        *layer_networks(),
        *loss_networks(),
        *optimizer_networks(),
        *component_networks(),
        *GRAPHS,
        *mask_networks(),
    ]


# -- one layer ---------------------------------------------------------------------------------------------------------


def trainer_of(spec: Document) -> Trainer:
    """A trainer of a spec. If no gradient reaches a weight, all layers are frozen: Keras leaves them as they are."""
    try:
        return Trainer(spec)
    except CompileError as error:
        if [diagnostic.code for diagnostic in error.diagnostics] != ["nothing-trains"]:
            raise
        return Trainer(spec | {"training": spec["training"] | {"freeze": ["*"]}})


def layer_networks() -> Iterator[Network]:
    """Yields a network for every layer case of the ordinary suite that Keras supports."""
    for case in unit.layers.cases.all_cases():
        if case.id not in LEFT_OUT and case.layer["type"] not in LOOKUPS:
            yield Network(f"layer-{case.id}", one_layer(case), integers=case.integers)


def one_layer(case: unit.layers.cases.Case) -> Document:
    """Returns the spec of the layer after a Dense layer for each real input, so that input gradients are compared, too.

    Augmentation layers, which run on the host before the step, have no Dense layer before them.
    """
    inputs, entries, sources = {}, [], []
    for index, shape in enumerate(case.inputs):
        is_integer = case.integers is not None or index in case.masks
        inputs[f"x{index}"] = {"shape": list(shape), "dtype": "int32" if is_integer else "float32"}
        has_dense = not is_integer and shape and not is_host_augmentation(make_layer(case.layer))
        sources.append(f"before{index}" if has_dense else f"x{index}")
        if has_dense:
            entries.append({"type": "Dense", "name": sources[-1], "units": shape[-1], "from": f"x{index}"})
            if case.within is not None:
                low, high = case.within
                entries[-1]["activation"] = "sigmoid"
                sources[-1] += "_within"
                entries.append({"type": "Rescaling", "name": sources[-1], "scale": high - low, "offset": low})
    outputs = ["layer", *(f"layer.{name}" for name in make_layer(case.layer).output_names())]
    entries.append({**case.layer, "name": "layer", "from": sources})
    if case.layer["type"].startswith("ops."):
        outputs = [as_real_batch(case, output, entries) for output in outputs]
    elif has_integer_output(case):  # losses do not accept integers
        entries.append({"type": "Rescaling", "name": "real", "scale": 1})
        outputs = ["real"]
    if case.masks or case.layer["type"].endswith(
        "Attention"
    ):  # Flatten ends the mask, which Keras would apply to the loss
        flat = {output: output.replace(".", "_") + "_flat" for output in outputs}
        entries += [{"type": "Flatten", "name": name, "from": output} for output, name in flat.items()]
        outputs = list(flat.values())
    loss = "mse" if len(outputs) == 1 else dict.fromkeys(outputs, "mse")
    return {"inputs": inputs, "layers": entries, "outputs": outputs, "training": {"loss": loss, "optimizer": SGD}}


def has_integer_output(case: unit.layers.cases.Case) -> bool:
    return not one_layer_network(case.layer, *case.inputs, dtype=case.dtype).types["layer"].dtype.startswith("float")


def as_real_batch(case: unit.layers.cases.Case, output: str, entries: list[Document]) -> str:
    """Converts the output of a function to real numbers with a batch axis if necessary; returns the output's name.

    An output without a batch axis is reduced to a sum with different weights for its elements, times ones of the shape
    of the input.
    """
    typed = one_layer_network(case.layer, *case.inputs, dtype=case.dtype)
    type, name = typed.types[output], output.replace(".", "_")
    if type.dtype != "float32":
        entries.append({"type": "ops.cast", "dtype": "float32", "name": f"{name}_real", "from": output})
        output = f"{name}_real"
    if not type.shape or type.shape[0] != BATCH:
        names = [f"{name}_{part}" for part in ("sums", "sum", "input", "ones", "whole")]
        entries.append({"type": "ops.cumsum", "name": names[0], "from": output})
        entries.append({"type": "ops.mean", "name": names[1], "from": names[0]})
        entries.append({"type": "ops.cast", "dtype": "float32", "name": names[2], "from": "x0"})
        entries.append({"type": "ops.ones_like", "name": names[3], "from": names[2]})
        entries.append({"type": "ops.multiply", "name": names[4], "from": [names[3], names[1]]})
        output = names[4]
    return output


# -- components of training --------------------------------------------------------------------------------------------


def stack(*entries: Mapping[str, Any], shape: tuple[Any, ...] = (4,), **training: Any) -> Document:
    section = {"loss": "mse", "optimizer": SGD, **training}
    return {"inputs": {"x": {"shape": list(shape)}}, "layers": list(entries), "training": section}


def dense(units: int = 3, **arguments: Any) -> Document:
    return {"type": "Dense", "units": units, **arguments}


DOMAINS = {
    "real": "linear",
    "wide": "linear",
    "extreme": "linear",
    "probabilities": "softmax",
    "positive": "softplus",
    "unit": "sigmoid",
    "quarters": "sigmoid",
    "certain": "sigmoid",
    "unit vectors": "tanh",
}
"""Activations whose results have the kinds of values of `training.cases.draw`."""


def loss_networks() -> Iterator[Network]:
    """Yields a network for every loss: a Dense layer with an activation that gives valid outputs."""
    for number, (loss, pair) in enumerate(training.LOSSES):
        if pair.target != "half off":  # depends on the outputs
            last = dense(pair.shape[-1], activation=DOMAINS[pair.output])
            spec = stack(last, shape=(*pair.shape[1:-1], 4), loss=loss)
            yield Network(f"loss-{number}-{training.name(loss)}", spec, pair.target, batch=pair.shape[0])


def optimizer_networks() -> Iterator[Network]:
    for optimizer in training.OPTIMIZERS:
        spec = stack(dense(5, activation="tanh"), dense(2), optimizer=training.for_dense_layers(optimizer))
        yield Network(f"optimizer-{training.name(optimizer)}", spec)


def component_networks() -> Iterator[Network]:
    """Yields networks with regularizers of weights and outputs, constraints and metrics."""
    for component in training.REGULARIZERS:
        yield Network(f"regularizer-{training.name(component)}", stack(dense(kernel_regularizer=component), dense(2)))
        yield Network(f"activity-{training.name(component)}", stack(dense(activity_regularizer=component), dense(2)))
    for component in training.CONSTRAINTS:
        spec = stack(dense(kernel_constraint=component, activation="tanh"), dense(2), optimizer="adam")
        yield Network(f"constraint-{training.name(component)}", spec)
    for number, (metric, loss, pair) in enumerate(training.METRICS):
        can_trace = "variance_weighted_average" not in str(metric)
        if can_trace and pair.output in DOMAINS:  # no layer gives class indices
            last = dense(pair.shape[-1], activation=DOMAINS[pair.output])
            spec = stack(last, shape=(*pair.shape[1:-1], 4), loss=loss, metrics=[metric])
            yield Network(f"metric-{number}-{training.name(metric)}", spec, pair.target, batch=pair.shape[0])


# -- graphs ------------------------------------------------------------------------------------------------------------


def recurrent(kind: str, **arguments: Any) -> Document:
    return {"type": kind, "units": 3, **arguments}


def graph(inputs: Mapping[str, list[Any]], entries: list[Document], outputs: list[str], **training: Any) -> Document:
    loss = training.pop("loss", "mse" if len(outputs) == 1 else dict.fromkeys(outputs, "mse"))
    section = {"loss": loss, "optimizer": SGD, **training}
    shapes = {name: {"shape": shape} for name, shape in inputs.items()}
    return {"inputs": shapes, "layers": entries, "outputs": outputs, "training": section}


def encoder_decoder(kind: str, states: tuple[str, ...]) -> Document:
    """Returns a network in which the states of one recurrent layer are the initial states of another."""
    return graph(
        {"question": [5, 2], "answer": [4, 2]},
        [
            recurrent(kind, name="encoder", **{"from": "question"}, return_state=True),
            recurrent(
                kind,
                name="decoder",
                **{"from": ["answer", *(f"encoder.{state}" for state in states)]},
                return_sequences=True,
                return_state=True,
            ),
            dense(2, name="word", **{"from": "decoder"}),
        ],
        ["word", *(f"decoder.{state}" for state in states)],
    )


def with_mask_input(layers: list[tuple[str, list[str]]], **more: list[int]) -> Document:
    """Returns a network of recurrent layers that take a mask as an input."""
    entries: list[Document] = [{"type": "ops.greater", "name": "kept", "from": "counts", "x2": 0.0}]
    for name, (kind, sources) in zip(("first", "second"), layers, strict=False):
        inner = recurrent("GRU" if kind == "Bidirectional" else kind, units=4, return_sequences=True)
        entry = {"type": kind, "layer": inner} if kind == "Bidirectional" else inner
        entries.append({**entry, "name": name, "from": sources})
    return graph({"x": [5, 2], "counts": [5], **more}, [*entries, dense(2, name="word")], ["word"])


CONV = {"type": "Conv2D", "filters": 3, "kernel_size": 3, "padding": "same"}
IMAGE = (6, 5, 2)

RESIDUAL = [
    {**CONV, "name": "stem"},
    {"type": "BatchNormalization", "momentum": 0.9},
    {"type": "Activation", "name": "in", "activation": "relu"},
    {**CONV, "use_bias": False},
    {"type": "BatchNormalization", "name": "branch", "momentum": 0.9},
    {"type": "Add", "name": "sum", "from": ["in", "branch"]},
    {"type": "MaxPooling2D"},
    {"type": "GlobalAveragePooling2D"},
    dense(4, activation="softmax"),
]

SHARED = [
    dense(5, name="tower", activation="tanh", kernel_regularizer="l2", **{"from": "left"}),
    {"use": "tower", "name": "twin", "from": "right"},
    {"type": "Subtract", "from": ["tower", "twin"]},
    dense(2),
]

TWO_OUTPUTS = [
    dense(5, name="a", activation="tanh", **{"from": "left"}),
    dense(5, name="b", activation="relu", **{"from": "right"}),
    {"type": "Concatenate", "name": "both", "from": ["a", "b"]},
    dense(3, name="class", activation="softmax", **{"from": "both"}),
    dense(1, name="size", **{"from": "both"}),
]
TWO_INPUTS = {"left": [4], "right": [4]}

GRAPHS = [
    Network("graph-shared", graph(TWO_INPUTS, SHARED, ["dense"])),
    Network(
        "graph-shared-batch-norm",
        stack(dense(4), {"type": "BatchNormalization", "name": "norm"}, dense(4), {"use": "norm"}, dense(2)),
    ),
    Network(
        "graph-two-outputs",
        graph(
            TWO_INPUTS,
            TWO_OUTPUTS,
            ["class", "size"],
            loss={"class": "kld", "size": "mae"},
            loss_weights={"class": 0.3, "size": 2.0},
            metrics={"class": ["mse", "mae"], "size": ["mse"]},
        ),
        target="unit",
    ),
    Network("graph-three-outputs", graph(TWO_INPUTS, TWO_OUTPUTS, ["both", "class", "size"], optimizer="adam")),
    Network("graph-lstm-states", encoder_decoder("LSTM", ("state_h", "state_c"))),
    Network("graph-gru-states", encoder_decoder("GRU", ("state_h",))),
    Network("graph-rnn-states", encoder_decoder("SimpleRNN", ("state_h",))),
    Network("graph-mask-given", with_mask_input([("LSTM", ["x", "kept"]), ("GRU", ["first", "kept"])])),
    Network("graph-mask-goes-on", with_mask_input([("GRU", ["x", "kept"]), ("LSTM", ["first"])])),
    Network("graph-mask-and-state", with_mask_input([("SimpleRNN", ["x", "start", "kept"])], start=[4])),
    Network("graph-mask-both-ways", with_mask_input([("Bidirectional", ["x", "kept"])])),
    Network("graph-residual", stack(*RESIDUAL, shape=IMAGE, loss="sparse_categorical_crossentropy"), "classes"),
    Network(
        "graph-residual-rmsprop",
        stack(*RESIDUAL, shape=IMAGE, loss="categorical_crossentropy", optimizer="rmsprop", metrics=["accuracy"]),
        "one hot",
        batch=8,
    ),
    Network(
        "graph-convolutions-over-any-size",
        stack(
            {**CONV, "strides": 2, "activation": "relu"},
            {"type": "AveragePooling2D", "pool_size": 2, "padding": "same"},
            {"type": "GlobalMaxPooling2D"},
            dense(2),
            shape=(None, None, 2),
        ),
        sizes=(5, 8, 6),
    ),
    Network(
        "graph-recurrent-stack",
        stack(
            recurrent("LSTM", return_sequences=True),
            {"type": "Bidirectional", "layer": recurrent("GRU", return_sequences=True)},
            {"type": "LayerNormalization"},
            recurrent("SimpleRNN", go_backwards=True),
            dense(2),
            shape=(6, 2),
        ),
    ),
    Network(
        "graph-sequences-of-any-length",
        stack(
            dense(4, activation="gelu"),
            {"type": "LayerNormalization", "name": "norm"},
            {"type": "Activation", "activation": {"type": "softmax", "axis": 1}},
            {"type": "Add", "from": ["norm", "activation"]},
            dense(2),
            shape=("time", 3),
        ),
        sizes=(4, 6, 1),
    ),
    Network(
        "graph-words",
        {
            "inputs": {"words": {"shape": [5], "dtype": "int32"}},
            "layers": [
                {"type": "Embedding", "input_dim": 7, "output_dim": 3, "embeddings_regularizer": "l2"},
                recurrent("LSTM", kernel_regularizer="l2", recurrent_constraint="unit_norm", bias_regularizer="l1"),
                dense(1, activation="sigmoid"),
            ],
            "training": {"loss": "bce", "optimizer": "adam", "metrics": ["accuracy"]},
        },
        "binary",
        integers=7,
    ),
    Network(
        "graph-weights-without-effect",
        stack(
            {"type": "ReversibleEmbedding", "input_dim": 3, "output_dim": 4, "tie_weights": False}
            | {"embeddings_constraint": "unit_norm", "embeddings_regularizer": "l1"},
            dense(2),
            optimizer={"type": "SGD", "learning_rate": 0.1, "momentum": 0.5, "weight_decay": 0.1},
        ),
    ),
    Network(
        "graph-weights-without-effect-or-penalty",
        stack(
            {"type": "ReversibleEmbedding", "input_dim": 3, "output_dim": 4, "tie_weights": False}
            | {"embeddings_constraint": "max_norm"},
            dense(2),
            optimizer={"type": "Adam", "learning_rate": 0.1, "weight_decay": 0.1, "clipnorm": 0.5},
        ),
    ),
    Network(
        "graph-frozen",
        stack(
            dense(5, trainable=False, kernel_regularizer="l2", activation="tanh"),
            {"type": "BatchNormalization", "trainable": False},
            {"type": "Reshape", "target_shape": [5, 1]},
            recurrent("LSTM", trainable=False, kernel_constraint="non_neg"),
            dense(2),
            optimizer={"type": "AdamW", "global_clipnorm": 0.1},
        ),
    ),
    Network(
        "graph-frozen-inside-bidirectional",
        stack(
            {"type": "Bidirectional", "trainable": False, "layer": recurrent("LSTM", trainable=False)},
            dense(2),
            shape=(4, 2),
        ),
    ),
    Network(
        "graph-frozen-heads",
        graph(
            {"x": [4, 3]},
            [
                dense(3, name="in"),
                {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 2, "trainable": False},
                {"type": "Bidirectional", "trainable": False, "layer": recurrent("GRU", kernel_regularizer="l2")},
                dense(2, name="out"),
            ],
            ["out"],
        ),
    ),
    Network(
        "graph-dropout-of-nothing",
        stack(
            dense(8, activation="relu"),
            {"type": "Dropout", "rate": 0.0},
            {"type": "GaussianNoise", "stddev": 0.0},
            {"type": "GaussianDropout", "rate": 0.0},
            {"type": "AlphaDropout", "rate": 0.0},
            dense(2),
        ),
    ),
    Network(
        "graph-clipped-everywhere",
        stack(
            dense(5, activation="tanh", kernel_regularizer="l1l2", bias_constraint="max_norm"),
            dense(2, activity_regularizer="l2"),
            optimizer={"type": "SGD", "learning_rate": 0.2, "momentum": 0.9, "nesterov": True, "global_clipnorm": 0.5},
        ),
    ),
    Network("graph-one-sample", stack(dense(3), {"type": "BatchNormalization"}, dense(2), optimizer="sgd"), batch=1),
]
"""Networks with shared layers, several inputs and outputs, initial states, frozen layers and symbolic sizes."""


# -- masks -------------------------------------------------------------------------------------------------------------


def words(
    *entries: Document, outputs: tuple[str, ...] = (), shape: tuple[int, ...] = (6,), **training: Any
) -> Document:
    """Returns the spec of layers after an Embedding with `mask_zero`."""
    embedding = {"type": "Embedding", "name": "words", "input_dim": 4, "output_dim": 4, "mask_zero": True}
    section = {"loss": "mse", "optimizer": SGD, **training}
    spec = {
        "inputs": {"ids": {"shape": list(shape), "dtype": "int32"}},
        "layers": [embedding, *entries],
        "training": section,
    }
    return spec | ({"outputs": list(outputs)} if outputs else {})


def mask_networks() -> Iterator[Network]:
    """Yields networks in which masks propagate through layers and into losses and metrics."""
    mean = {"type": "GlobalAveragePooling1D"}
    for kept in MASK_KEEPING:
        name = kept.get("name", kept["type"])
        yield Network(f"mask-{name}", words({**kept, "name": "kept"}, dense()), integers=4)
        yield Network(f"mask-{name}-mean", words({**kept, "name": "kept"}, mean, dense(2)), integers=4)
    for spec in MASK_ENDING:
        yield Network(f"mask-ends-{spec['type']}", words(spec, dense(2)), integers=4)
    for kind in ("Add", "Multiply", "Maximum", "Minimum", "Average", "Subtract"):
        both = {"type": kind, "from": ["words", "other"]}
        other = dense(4, name="other", **{"from": "words"})
        yield Network(f"mask-{kind}", words(other, both, dense()), integers=4)
        yield Network(f"mask-{kind}-shifted", words(*SHIFTED, {**both, "from": ["words", "masked"]}), integers=4)
    for axis in (1, 2, -1, -2):
        joined = {"type": "Concatenate", "name": "joined", "axis": axis, "from": ["words", "masked"]}
        yield Network(f"mask-Concatenate-{axis}", words(*SHIFTED, joined, mean, dense(2)), integers=4)
        joined = {"type": "Concatenate", "name": "joined", "axis": axis, "from": ["words", "bare"]}
        bare = {"type": "UpSampling1D", "size": 1, "name": "bare"}
        yield Network(f"mask-Concatenate-{axis}-half", words(bare, joined, mean, dense(2)), integers=4)
    for name, attention in ATTENTION.items():
        yield Network(f"mask-{name}", words(attention, mean, dense(2)), integers=4)
        yield Network(f"mask-{name}-places", words(attention, dense(2)), integers=4)
        cross = {**attention, "from": ["words", "masked"]}
        yield Network(f"mask-{name}-cross", words(*SHIFTED, cross, mean, dense(2)), integers=4)
        half = [{"type": "UpSampling1D", "size": 1, "name": "bare"}, {**attention, "from": ["bare", "words"]}]
        yield Network(f"mask-{name}-value", words(*half, mean, dense(2)), integers=4)
    for loss in ("mae", "huber", "log_cosh", "cosine_similarity", "kld", "poisson", "mape"):
        yield Network(f"mask-loss-{loss}", words(dense(activation="softmax"), loss=loss), "unit", integers=4)
    for reduction in ("sum", "mean", "mean_with_sample_weight"):
        loss = {"type": "MeanSquaredError", "reduction": reduction}
        yield Network(f"mask-reduction-{reduction}", words(dense(), loss=loss), integers=4)
    yield Network(
        "mask-classes",
        words(
            dense(5, activation="softmax"),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy", "sparse_categorical_crossentropy", "sparse_top_k_categorical_accuracy"],
        ),
        "classes",
        integers=4,
        evaluated=True,
    )
    ignoring = {"type": "SparseCategoricalCrossentropy", "ignore_class": 1, "from_logits": True}
    yield Network("mask-classes-ignoring", words(dense(5), loss=ignoring), "classes", integers=4)
    for name, entries in RECURRENT_LAYERS.items():
        yield Network(f"mask-{name}", words(*entries), integers=4)
    for name, entries in STACKED.items():
        yield Network(f"mask-stacked-{name}", words(*entries), integers=4)
    inner, outer = recurrent("LSTM"), recurrent("GRU")
    yield Network("mask-sentences", words(timed(inner), outer, dense(2), shape=(3, 4)), integers=4)
    yield Network("mask-steps", stack({"type": "Masking"}, recurrent("LSTM"), dense(2), shape=(4, 1)))
    metrics = ["mse", "mae", "root_mean_squared_error", "cosine_similarity", "kl_divergence"]
    yield Network("mask-metrics", words(dense(3), metrics=metrics), integers=4, evaluated=True)


MASK_KEEPING: list[Document] = [
    dense(4),
    {"type": "Activation", "activation": "tanh"},
    {"type": "LeakyReLU"},
    {"type": "PReLU"},
    {"type": "LayerNormalization"},
    {"type": "GroupNormalization", "groups": 2},
    {"type": "UnitNormalization"},
    {"type": "BatchNormalization"},
    {"type": "BatchNormalization", "name": "BatchNormalization-time", "axis": 1},
    {"type": "Rescaling", "scale": 2.0},
    {"type": "Dropout", "rate": 0.0},
    {"type": "SpatialDropout1D", "rate": 0.0},
    {"type": "ActivityRegularization", "l2": 0.1},
    {"type": "Identity"},
    {"type": "Masking", "mask_value": 0.5},
]

MASK_ENDING: list[Document] = [
    {"type": "Conv1D", "filters": 2, "kernel_size": 2},
    {"type": "Flatten"},
    {"type": "RMSNormalization"},
    {"type": "EinsumDense", "equation": "abc,cd->abd", "output_shape": [None, 3]},
    {"type": "Permute", "dims": [2, 1]},
    {"type": "MaxPooling1D"},
    {"type": "GlobalMaxPooling1D"},
    {"type": "Dot", "axes": 2, "from": ["words", "words"]},
]

SHIFTED: list[Document] = [
    {"type": "ZeroPadding1D", "padding": [2, 0]},
    {"type": "Cropping1D", "cropping": [0, 2]},
    {"type": "Masking", "name": "masked"},
]
"""The words shifted by two steps: a second sequence, `masked`, with another mask."""

ATTENTION: dict[str, Document] = {
    "MultiHeadAttention": {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 3},
    "MultiHeadAttention-causal": {
        "type": "MultiHeadAttention",
        "num_heads": 2,
        "key_dim": 3,
        "use_causal_mask": True,
    },
    "GroupQueryAttention": {
        "type": "GroupQueryAttention",
        "head_dim": 3,
        "num_query_heads": 4,
        "num_key_value_heads": 2,
    },
    "Attention": {"type": "Attention"},
    "Attention-causal": {"type": "Attention", "use_causal_mask": True, "use_scale": True},
    "AdditiveAttention": {"type": "AdditiveAttention"},
}
