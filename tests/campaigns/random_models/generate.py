"""Generates a valid spec from a seed, layer by layer, keeping the layers that shape inference accepts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import prod
from random import Random
from typing import Any

from jsonnx.core.components import Component, snake_case
from jsonnx.core.types import BATCH, ShapeError, Size, TensorType, evaluate_size, product
from jsonnx.ir import Builder
from jsonnx.ir.builder import EmissionError
from jsonnx.layers import LAYERS, Layer
from jsonnx.layers.image.geometric_augmentation import HostAugmentation
from jsonnx.layers.ops.base import Operation
from jsonnx.layers.rnn.time_distributed import nested_components
from jsonnx.lowering.check_weights import check_weights, restricts_weights
from jsonnx.lowering.lower import lower_layer
from jsonnx.training.losses.losses import LOSSES
from jsonnx.training.metrics.metrics import METRICS
from jsonnx.training.optimizers.optimizers import OPTIMIZERS

from . import draw
from .masking import misses_masks, without_masks

MAX_ELEMENTS = 1 << 16
"""Greatest number of elements of a value at the sizes in SYMBOLS."""

SYMBOLS = {"batch": 3, "time": 7, "width": 8}
"""Symbolic sizes and their smallest values."""

SKIPPED = {
    *("DateFeatures", "OnnxModel", "Pipeline", "StringLookup", "TextVectorization", "Tokenizer"),
    "ctc",
    "MultiOptimizer",
    *(name for name, component in LAYERS.members.items() if issubclass(component, (HostAugmentation, Operation))),
}
"""Types that are not drawn: inputs are never text, OnnxModel and Tokenizer need a file, the targets of CTC have a size
of their own, MultiOptimizer needs names of weights, augmentation runs outside the graph and only before all trained
layers, and many functions of keras.ops have kinks or are undefined for some inputs."""

DRAWN = [name for name in LAYERS.members if name not in SKIPPED]
"""Layer types that are drawn."""

STATES = {"SimpleRNN": 1, "GRU": 1, "LSTM": 2, "SimpleRNNCell": 1, "GRUCell": 1, "LSTMCell": 2, "StackedRNNCells": 2}
"""Number of states that a layer may take after its input; cells always take them."""

WITH_OPTIONAL_INPUTS = {
    "Attention",
    "AdditiveAttention",
    "MultiHeadAttention",
    "GroupQueryAttention",
    "CategoryEncoding",
}
"""Layers with optional inputs that are drawn."""

LOOKS_UP = {"Embedding", "CategoryEncoding"}
"""Layers that take integers below a bound."""

BEYOND_VOCABULARY = {"Add", "Subtract", "Multiply"}
"""Layers whose integer results may exceed the vocabulary of an embedding."""

TRIES = 40
PROBABILITIES = {"binary_crossentropy", "binary_focal_crossentropy", "dice", "tversky"}
DISTRIBUTIONS = {
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
    "categorical_focal_crossentropy",
    "kl_divergence",
}
POSITIVE = {"poisson", "mean_squared_logarithmic_error"}


def spec(seed: int) -> dict[str, Any]:
    """Returns the spec of a seed; it is always the same."""
    return _Generator(Random(f"jsonnx {seed}")).spec(seed)


class _Generator:
    """A partial network: the types of its values, its calls, and the values that no layer reads yet."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.types: dict[str, TensorType] = {}
        self.inputs: dict[str, Any] = {}
        self.calls: list[dict[str, Any]] = []
        self.free: dict[str, None] = {}
        """Calls and inputs none of whose results is read, in order."""
        self.layers: dict[str, tuple[Layer, tuple[TensorType, ...]]] = {}

    def spec(self, seed: int) -> dict[str, Any]:
        rng = self.rng
        trained = rng.random() < 0.7
        symbolic = 0.15 if trained else 0.5
        self.add_first_layer(DRAWN[seed % len(DRAWN)], symbolic)
        for _ in range(rng.choice([0, 0, 0, 1, 2])):
            self.add_input(symbolic)
        call_count = rng.choice([1, 1, 2, 2, 3, 3, 4, 5, 6, 8, 13, 30])
        for _ in range(3 * call_count):
            if len(self.calls) >= call_count:
                break
            self.add_layer()
        self.close()
        document: dict[str, Any] = {"name": f"random_{seed}", "inputs": self.inputs, "layers": self.calls}
        outputs = list(self.free)
        training = self.training(outputs) if trained else None
        outputs = list(self.free)
        document["outputs"] = outputs if len(outputs) > 1 or rng.random() < 0.5 else outputs[0]
        if training:
            document["training"] = training
        document = json.loads(json.dumps(document))
        return without_masks(document) if misses_masks(document) else document

    # -- values --------------------------------------------------------------------------------------------------------

    def add_first_layer(self, kind: str, symbolic: float) -> None:
        """Adds an input and a layer of this type on it, so that layers that accept few values are drawn as often."""
        for _ in range(TRIES):
            name = self.add_input(symbolic, kind)
            if self.try_layer(kind, name):
                return
            del self.inputs[name], self.types[name], self.free[name]
        self.add_input(symbolic)

    def add_input(self, symbolic: float, kind: str = "") -> str:
        """Adds an input, with symbolic sizes at this probability, and of the type in `draw.INPUTS` if there is one."""
        rng, name = self.rng, f"x{len(self.inputs)}"
        rank = rng.choice([1, 2, 2, 2, 3, 3, 3, 3, 4])
        most = {1: 16, 2: 9, 3: 8, 4: 5}[rank]
        shape: list[Any] = [rng.randint(1 if rng.random() < 0.2 else 2, most) for _ in range(rank - 1)] + [
            rng.randint(1, 6)
        ]
        dtype = "float32"
        if rank <= 2 and rng.random() < 0.15:
            dtype = rng.choice(["int64", "int32"])
        if rng.random() < symbolic and rank > 1:
            for axis in rng.sample(range(rank - 1), rng.randint(1, min(2, rank - 1))):
                shape[axis] = rng.choice(["time", "width"])
        if kind in draw.INPUTS:
            shape, dtype = draw.INPUTS[kind](rng)
        sizes = tuple(Size.named(size) if isinstance(size, str) else size for size in shape)
        self.inputs[name] = {"shape": shape} if dtype == "float32" else {"shape": shape, "dtype": dtype}
        self.types[name] = TensorType(dtype, (BATCH, *sizes))
        self.free[name] = None
        return name

    def pick(self) -> str:
        """Draws a value: mostly the newest, sometimes one that no layer reads yet, else any."""
        names, chance = list(self.types), self.rng.random()
        if chance < 0.55:
            return names[-1]
        return self.rng.choice(list(self.free) if chance < 0.85 and self.free else names)

    # -- layers --------------------------------------------------------------------------------------------------------

    def add_layer(self) -> None:
        """Adds a layer if one of several drawn ones is valid."""
        for _ in range(TRIES):
            if self.rng.random() < 0.03 and self.share():
                return
            if self.try_layer(self.rng.choice(DRAWN)):
                return

    def try_layer(self, kind: str, first: str | None = None) -> bool:
        """Adds a layer of this type on value `first` or a drawn one; if it is invalid, undoes all and returns False."""
        component = LAYERS.members[kind]
        saved = len(self.calls), dict(self.types), dict(self.inputs), dict(self.free), dict(self.layers)
        sources = list(self.sources(component, first or self.pick()))
        masks = self.add_masks(component, sources)
        determined = self.determined_attributes(kind, sources)
        if masks:
            determined["arguments"] = [*("query", "value", "key")[: len(sources)], *masks]
        sources += masks.values()
        types = tuple(self.types[source] for source in sources)
        if sources and all(fits(type) for type in types):
            for _ in range(3):
                attributes = draw.attributes(self.rng, component, types) | determined
                if self.call(kind, attributes, sources):
                    return True
        self.calls = self.calls[: saved[0]]
        self.types, self.inputs, self.free, self.layers = saved[1:]
        return False

    def sources(self, component: type[Component], first: str) -> Iterator[str]:
        """Yields values for the inputs of a layer, adding adapter layers if inputs must have equal types."""
        least, most = component.arity
        yield first
        states = STATES.get(component.type_name, 0)
        if states and (least > 1 or (self.rng.random() < 0.3 and self.types[first].rank == 3)):
            size = self.rng.choice([1, 2, 3])
            for _ in range(states):
                yield self.adapt(self.pick(), TensorType("float32", (BATCH, size)))
            return
        count = least
        if (most is None and least > 1) or component.type_name in WITH_OPTIONAL_INPUTS:
            count = self.rng.choice([least, least, least + 1, least + 2])
        for _ in range(count - 1):
            other = self.pick()
            type = self.types[first]
            yield other if self.rng.random() < 0.15 else self.adapt(other, type)

    def add_masks(self, component: type[Component], sources: list[str]) -> dict[str, str]:
        """Sometimes adds mask inputs to an attention layer; returns their names by the names of the arguments."""
        if "arguments" not in component.attributes or self.rng.random() < 0.7:
            return {}
        types = [self.types[source] for source in sources]
        query, value = (types[0].shape[:-1], types[min(1, len(types) - 1)].shape[:-1])
        shapes = {"query_mask": query, "value_mask": value, "key_mask": value, "attention_mask": (*query, *value[1:])}
        names = draw.properties_of(component)["arguments"]["items"]["enum"]
        chosen = [name for name in names if name in shapes and self.rng.random() < 0.4]
        return {name: self.add_mask(shapes[name]) for name in chosen if all(map(self.is_expressible, shapes[name][1:]))}

    def add_mask(self, shape: tuple[Any, ...]) -> str:
        name, sizes = f"x{len(self.inputs)}", [s if isinstance(s, int) else str(s) for s in shape[1:]]
        self.inputs[name] = {"shape": sizes, "dtype": "bool"}
        self.types[name], self.free[name] = TensorType("bool", shape), None
        return name

    @staticmethod
    def is_expressible(size: Any) -> bool:
        return isinstance(size, int) or str(size) in SYMBOLS

    def determined_attributes(self, kind: str, sources: list[str]) -> dict[str, Any]:
        """Returns the attributes that are determined by the number and the types of the inputs."""
        if kind in STATES and kind != "StackedRNNCells" and len(sources) > 1:
            return {"units": self.types[sources[1]].shape[-1]}
        return {}

    def adapt(self, source: str, type: TensorType) -> str:
        """Converts a value to a type with Dense, a 1x1 convolution, or Flatten, Dense and Reshape."""
        source_type = self.types[source]
        if source_type == type or not source_type.dtype.startswith("float") or not source_type.rank > 1:
            return source
        last = type.shape[-1]
        if source_type.shape[:-1] == type.shape[:-1] and isinstance(last, int):
            conv = {3: "Conv1D", 4: "Conv2D", 5: "Conv3D"}.get(source_type.rank)
            if conv and self.rng.random() < 0.5:
                return self.call(conv, {"filters": last, "kernel_size": 1}, [source]) or source
            return self.call("Dense", {"units": last}, [source]) or source
        sizes = type.shape[1:]
        if not (source_type.is_static(*range(1, source_type.rank)) and type.is_static(*range(1, type.rank))):
            return source
        if prod(source_type.shape[1:]) * prod(sizes) > 1 << 16:
            return source
        flat = source if source_type.rank == 2 else self.call("Flatten", {}, [source])
        dense = flat and self.call("Dense", {"units": prod(sizes)}, [flat])
        if not dense:
            return source
        return dense if len(sizes) == 1 else self.call("Reshape", {"target_shape": list(sizes)}, [dense]) or source

    def call(self, kind: str, attributes: dict[str, Any], sources: list[str]) -> str | None:
        """Appends the layer and returns its name, or None if it is invalid."""
        try:
            layer = LAYERS.by_name[kind](**attributes)
            types = infer(layer, [self.types[source] for source in sources])
            check_layer_weights(layer, [self.types[source] for source in sources])
        except (ShapeError, KeyError, TypeError, IndexError):
            return None
        entry = {"type": kind, **attributes}
        return self.append(entry, layer, types, sources, snake_case(kind))

    def share(self) -> bool:
        """Calls an existing layer on another value of the same type."""
        for name in self.rng.sample(list(self.layers), len(self.layers)):
            layer, types = self.layers[name]
            sources = [self.rng.choice([n for n, type in self.types.items() if type == w]) for w in types]
            if sources and isinstance(layer, Layer):
                self.append({"use": name}, layer, infer(layer, list(types)), sources, name, shared=True)
                return True
        return False

    def append(self, entry, layer: Layer, types, sources: list[str], base: str, *, shared: bool = False) -> str:  # type: ignore[no-untyped-def]
        name = f"{base}_{len(self.calls)}"
        if not shared:
            self.layers[name] = layer, tuple(self.types[source] for source in sources)
        follows = self.calls and sources == [self.calls[-1]["name"]] and layer.arity[0]
        entry = entry | {"name": name}
        if not follows or self.rng.random() < 0.5:
            entry["from"] = sources if len(sources) > 1 or self.rng.random() < 0.1 else sources[0]
        self.calls.append(entry)
        for source in sources:
            self.free.pop(source.partition(".")[0], None)
        self.types |= dict(zip((name, *(f"{name}.{output}" for output in layer.output_names())), types, strict=True))
        self.free[name] = None
        return name

    # -- the end -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Adds layers that read unread inputs, and merges unread values until there are few outputs."""
        for name in [name for name in self.free if name in self.inputs]:
            if self.types[name].dtype.startswith("float"):
                self.call("Activation", {"activation": "tanh"}, [name])
            else:
                self.call("Embedding", {"input_dim": draw.VOCABULARY, "output_dim": 2}, [name])
        while len(self.free) > 3:
            pair = [name for name in self.free if self.types[name].dtype == "float32"][:2]
            if len(pair) < 2 or not self.merge(*pair):
                break

    def merge(self, first: str, second: str) -> bool:
        other = self.adapt(second, self.types[first])
        if self.types[other] != self.types[first]:
            return False
        return self.call("Add", {}, [first, other]) is not None

    def training(self, outputs: list[str]) -> dict[str, Any] | None:
        """Draws a training section with a valid loss for every output, after an activation if the loss needs it."""
        rng = self.rng
        losses, metrics = {}, {}
        for output in outputs:
            if self.types[output].dtype != "float32":
                continue
            drawn = self.loss(output)
            if drawn is None:
                return None
            name, losses[name], metrics[name] = drawn[0], drawn[1], drawn[2]
        if not losses:
            return None
        one = len(losses) == 1 and len(self.free) == 1
        optimizer = rng.choice([kind for name, kind in OPTIMIZERS.members.items() if name not in SKIPPED])
        attributes = draw.attributes(rng, optimizer, (), 0.25) | {"learning_rate": rng.choice([0.1, 0.01, 0.001])}
        clips = [name for name in attributes if "clip" in name]
        attributes = {name: value for name, value in attributes.items() if name not in clips[1:]}
        training: dict[str, Any] = {
            "optimizer": {"type": optimizer.type_name, **attributes},
            "seed": rng.choice([0, 1, 7]),
        }
        training["loss"] = next(iter(losses.values())) if one else losses
        if any(metrics.values()):
            training["metrics"] = next(iter(metrics.values())) if one else metrics
        if not one and rng.random() < 0.3:
            training["loss_weights"] = {name: rng.choice([0.5, 2.0, 1.0]) for name in losses}
        return training

    def loss(self, output: str) -> tuple[str, Any, list[Any]] | None:
        rng = self.rng
        for _ in range(TRIES):
            component = rng.choice([loss for name, loss in LOSSES.members.items() if name not in SKIPPED])
            if "from_logits" in component.attributes and rng.random() < 0.4:
                attributes: dict[str, Any] = {"from_logits": True}
            else:
                attributes = {}
            kind = component.type_name
            drawn = draw.attributes(rng, component, (self.types[output],), 0.2)
            attributes |= {key: value for key, value in drawn.items() if key != "from_logits"}
            if "ignore_class" in attributes:
                attributes["ignore_class"] = rng.choice([0, 1, None])
            try:
                loss = component(**attributes)
                loss.target_type(self.types[output])
            except (ShapeError, TypeError):
                continue
            head = None
            if not attributes.get("from_logits"):
                head = "sigmoid" if kind in PROBABILITIES else "softmax" if kind in DISTRIBUTIONS else None
                head = "softplus" if kind in POSITIVE else head
            if head:
                output = self.call("Activation", {"activation": head}, [output]) or output
            metrics = [m for m in rng.sample(list(METRICS.members), 3) if self.accepts_metric(m, loss, output)][
                : rng.randint(0, 2)
            ]
            return output, ({"type": kind, **attributes} if attributes else kind), metrics
        return None

    def accepts_metric(self, name: str, loss: Any, output: str) -> bool:
        component = METRICS.members[name]
        if component.required_attributes():
            return False
        try:
            component().resolve(loss, self.types[output])
        except ShapeError:
            return False
        return True


def infer(layer: Layer, types: list[TensorType]) -> tuple[TensorType, ...]:
    """Returns the types of a layer's results. Raises ShapeError if they are too large or empty at some size."""
    least, most = layer.arity
    if len(types) < least or (most is not None and len(types) > most):
        raise ShapeError("wrong number of inputs")
    inferred = layer.infer(*types)
    results = inferred if isinstance(inferred, tuple) else (inferred,)
    if layer.type_name in BEYOND_VOCABULARY and not types[0].dtype.startswith("float"):
        raise ShapeError("results may exceed the vocabulary")
    if LOOKS_UP & {part.type_name for part in nested_components(layer)} and types[0].dtype.startswith("float"):
        raise ShapeError("inputs may exceed the vocabulary")
    if layer.activity_regularizer is not None:
        if not all(type.dtype.startswith("float") for type in results):
            raise ShapeError("activity regularizer of integers")
        for type in results:
            layer.activity_regularizer.check(type.shape)
    if not all(fits(type) for type in results):
        raise ShapeError("is too large or has no elements")
    if "Attention" in layer.type_name and not fits(scores(layer, *types)):
        raise ShapeError("attention scores are too large")
    return results


def scores(layer: Any, query: TensorType, value: TensorType | None = None, *_: TensorType) -> TensorType:
    """Returns the type of the attention scores: query positions by value positions for every head."""
    places = [*query.shape[1:-1], *(query if value is None else value).shape[1:-1]]
    return query.with_shape((query.shape[0], getattr(layer, "num_heads", 1), product(places)))


def check_layer_weights(layer: Layer, types: list[TensorType]) -> None:
    """Raises ShapeError if initializers, regularizers or constraints of a layer are invalid for its weights."""
    if restricts_weights(layer):
        g = Builder()
        try:
            lower_layer(g, layer, [g.input(f"x{index}", type) for index, type in enumerate(types)], [None] * len(types))
        except EmissionError:
            return  # an error of the layer, which the oracles report
        check_weights(g)


def fits(type: TensorType) -> bool:
    try:
        sizes = [evaluate_size(size, SYMBOLS) for size in type.shape]
    except ValueError:
        return False
    return all(size > 0 for size in sizes) and prod(sizes) <= MAX_ELEMENTS and len(sizes) <= 6
