"""Grows a valid spec from a seed: layer by layer, forward, keeping what the shape rules allow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import prod
from random import Random
from typing import Any

from jsonnx.core.components import Component, snake_case
from jsonnx.core.types import BATCH, ShapeError, Size, TensorType, product
from jsonnx.ir import Builder
from jsonnx.ir.builder import EmissionError
from jsonnx.layers import LAYERS, Layer
from jsonnx.layers.image.geometric_augmentation import HostAugmentation
from jsonnx.layers.ops.base import Operation
from jsonnx.layers.rnn.time_distributed import nested_components
from jsonnx.lowering.check_weights import check_weights, restricts_weights
from jsonnx.lowering.lower import lower_layer
from jsonnx.runtime.random import evaluate_size
from jsonnx.training.losses import LOSSES
from jsonnx.training.metrics import METRICS
from jsonnx.training.optimizers import OPTIMIZERS

from . import draw
from .masking import misses_masks, unmasked

LARGEST = 1 << 16
"""Elements that a value may have at a batch of 3."""

SYMBOLS = {"batch": 3, "time": 7, "width": 8}
"""Symbolic sizes, and what they are here at least."""

SKIPPED = {
    *("Pipeline", "StringLookup", "TextVectorization"),
    *(name for name, brick in LAYERS.members.items() if issubclass(brick, (HostAugmentation, Operation))),
}
"""Layer types that are not to be drawn: no input is text; augmentation happens outside the graph, and only where
nothing before it is trained; many functions of keras.ops are not defined everywhere, or have kinks."""

DRAWN = [name for name in LAYERS.members if name not in SKIPPED]
"""Those that are."""

STATES = {"SimpleRNN": 1, "GRU": 1, "LSTM": 2, "SimpleRNNCell": 1, "GRUCell": 1, "LSTMCell": 2, "StackedRNNCells": 2}
"""How many states a layer may take after its input; cells take them always."""

SEVERAL = {"Attention", "AdditiveAttention", "MultiHeadAttention", "GroupQueryAttention", "CategoryEncoding"}
"""What may have more inputs than it must."""

LOOKS_UP = {"Embedding", "CategoryEncoding"}
"""What takes whole numbers below a bound."""

GROWING = {"Add", "Subtract", "Multiply"}
"""What makes other integers of integers than an embedding may look up."""

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
    """The model of a seed, always the same one."""
    return _Growth(Random(f"jsonnx {seed}")).spec(seed)


class _Growth:
    """A network that grows: the types of its values, the calls so far, and which values nobody has taken yet."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.types: dict[str, TensorType] = {}
        self.inputs: dict[str, Any] = {}
        self.calls: list[dict[str, Any]] = []
        self.free: dict[str, None] = {}
        """Calls and inputs none of whose results is taken, in order."""
        self.layers: dict[str, tuple[Layer, tuple[TensorType, ...]]] = {}

    def spec(self, seed: int) -> dict[str, Any]:
        rng = self.rng
        trained = rng.random() < 0.7
        symbolic = 0.15 if trained else 0.5
        self.begin(DRAWN[seed % len(DRAWN)], symbolic)
        for _ in range(rng.choice([0, 0, 0, 1, 2])):
            self.add_input(symbolic)
        wanted = rng.choice([1, 1, 2, 2, 3, 3, 4, 5, 6, 8, 13, 30])
        for _ in range(3 * wanted):
            if len(self.calls) >= wanted:
                break
            self.grow()
        self.close()
        document: dict[str, Any] = {"name": f"random_{seed}", "inputs": self.inputs, "layers": self.calls}
        outputs = list(self.free)
        training = self.training(outputs) if trained else None
        outputs = list(self.free)
        document["outputs"] = outputs if len(outputs) > 1 or rng.random() < 0.5 else outputs[0]
        if training:
            document["training"] = training
        document = json.loads(json.dumps(document))
        return unmasked(document) if misses_masks(document) else document

    # -- values --------------------------------------------------------------------------------------------------------

    def begin(self, kind: str, symbolic: float) -> None:
        """An input and a layer of this kind on it: so none is rarer than others because few values suit it."""
        for _ in range(TRIES):
            name = self.add_input(symbolic, kind)
            if self.attempt(kind, name):
                return
            del self.inputs[name], self.types[name], self.free[name]
        self.add_input(symbolic)

    def add_input(self, symbolic: float, kind: str = "") -> str:
        """An input, with a chance of symbolic sizes; one that suits a kind of layer where `draw.INPUTS` knows it."""
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
        """A value: most often the newest, or one that nobody has taken, else any."""
        names, chance = list(self.types), self.rng.random()
        if chance < 0.55:
            return names[-1]
        return self.rng.choice(list(self.free) if chance < 0.85 and self.free else names)

    # -- layers --------------------------------------------------------------------------------------------------------

    def grow(self) -> None:
        """One more layer, if one of several tries is legal."""
        for _ in range(TRIES):
            if self.rng.random() < 0.03 and self.share():
                return
            if self.attempt(self.rng.choice(DRAWN)):
                return

    def attempt(self, kind: str, first: str | None = None) -> bool:
        """A layer of this kind on that value, or on any; what was tried in vain is undone."""
        brick = LAYERS.members[kind]
        before = len(self.calls), dict(self.types), dict(self.inputs), dict(self.free), dict(self.layers)
        sources = list(self.sources(brick, first or self.pick()))
        masks = self.masks(brick, sources)
        coupled = self.coupled(kind, sources)
        if masks:
            coupled["arguments"] = [*("query", "value", "key")[: len(sources)], *masks]
        sources += masks.values()
        types = tuple(self.types[source] for source in sources)
        if sources and all(fits(type) for type in types):
            for _ in range(3):
                given = draw.attributes(self.rng, brick, types) | coupled
                if self.call(kind, given, sources):
                    return True
        self.calls = self.calls[: before[0]]
        self.types, self.inputs, self.free, self.layers = before[1:]
        return False

    def sources(self, brick: type[Component], first: str) -> Iterator[str]:
        """Values that the layer may take; adapters are added where it wants several of a kind."""
        least, most = brick.arity
        yield first
        states = STATES.get(brick.type_name, 0)
        if states and (least > 1 or (self.rng.random() < 0.3 and self.types[first].rank == 3)):
            size = self.rng.choice([1, 2, 3])
            for _ in range(states):
                yield self.adapted(self.pick(), TensorType("float32", (BATCH, size)))
            return
        count = least
        if (most is None and least > 1) or brick.type_name in SEVERAL:
            count = self.rng.choice([least, least, least + 1, least + 2])
        for _ in range(count - 1):
            other = self.pick()
            whole = self.types[first]
            yield other if self.rng.random() < 0.15 else self.adapted(other, whole)

    def masks(self, brick: type[Component], sources: list[str]) -> dict[str, str]:
        """Now and then, inputs of an attention layer that say what may look where, by its names for them."""
        if "arguments" not in brick.attributes or self.rng.random() < 0.7:
            return {}
        types = [self.types[source] for source in sources]
        query, value = (types[0].shape[:-1], types[min(1, len(types) - 1)].shape[:-1])
        shapes = {"query_mask": query, "value_mask": value, "key_mask": value, "attention_mask": (*query, *value[1:])}
        names = draw.properties_of(brick)["arguments"]["items"]["enum"]
        chosen = [name for name in names if name in shapes and self.rng.random() < 0.4]
        return {name: self.mask(shapes[name]) for name in chosen if all(map(self.writable, shapes[name][1:]))}

    def mask(self, shape: tuple[Any, ...]) -> str:
        name, sizes = f"x{len(self.inputs)}", [s if isinstance(s, int) else str(s) for s in shape[1:]]
        self.inputs[name] = {"shape": sizes, "dtype": "bool"}
        self.types[name], self.free[name] = TensorType("bool", shape), None
        return name

    @staticmethod
    def writable(size: Any) -> bool:
        return isinstance(size, int) or str(size) in SYMBOLS

    def coupled(self, kind: str, sources: list[str]) -> dict[str, Any]:
        """Attributes that follow from the number and the types of the inputs."""
        if kind in STATES and kind != "StackedRNNCells" and len(sources) > 1:
            return {"units": self.types[sources[1]].shape[-1]}
        return {}

    def adapted(self, source: str, wanted: TensorType) -> str:
        """A value of the wanted type, made of this one by Dense, a 1x1 convolution, or Flatten, Dense and Reshape."""
        have = self.types[source]
        if have == wanted or not have.dtype.startswith("float") or not have.rank > 1:
            return source
        last = wanted.shape[-1]
        if have.shape[:-1] == wanted.shape[:-1] and isinstance(last, int):
            conv = {3: "Conv1D", 4: "Conv2D", 5: "Conv3D"}.get(have.rank)
            if conv and self.rng.random() < 0.5:
                return self.call(conv, {"filters": last, "kernel_size": 1}, [source]) or source
            return self.call("Dense", {"units": last}, [source]) or source
        sizes = wanted.shape[1:]
        if not (have.is_static(*range(1, have.rank)) and wanted.is_static(*range(1, wanted.rank))):
            return source
        if prod(have.shape[1:]) * prod(sizes) > 1 << 16:
            return source
        flat = source if have.rank == 2 else self.call("Flatten", {}, [source])
        dense = flat and self.call("Dense", {"units": prod(sizes)}, [flat])
        if not dense:
            return source
        return dense if len(sizes) == 1 else self.call("Reshape", {"target_shape": list(sizes)}, [dense]) or source

    def call(self, kind: str, given: dict[str, Any], sources: list[str]) -> str | None:
        """Appends the layer; its name, or None where it is not legal here."""
        try:
            layer = LAYERS.by_name[kind](**given)
            types = infer(layer, [self.types[source] for source in sources])
            suits_weights(layer, [self.types[source] for source in sources])
        except (ShapeError, KeyError, TypeError, IndexError):
            return None
        entry = {"type": kind, **given}
        return self.append(entry, layer, types, sources, snake_case(kind))

    def share(self) -> bool:
        """Calls an earlier layer again on another value of the same type."""
        for name in self.rng.sample(list(self.layers), len(self.layers)):
            layer, wanted = self.layers[name]
            sources = [self.rng.choice([n for n, type in self.types.items() if type == w]) for w in wanted]
            if sources and isinstance(layer, Layer):
                self.append({"use": name}, layer, infer(layer, list(wanted)), sources, name, shared=True)
                return True
        return False

    def append(self, entry, layer: Layer, types, sources: list[str], base: str, *, shared: bool = False) -> str:  # type: ignore[no-untyped-def]
        name = f"{base}_{len(self.calls)}"
        if not shared:
            self.layers[name] = layer, tuple(self.types[source] for source in sources)
        follows = self.calls and sources == [self.calls[-1]["name"]]
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
        """Every input is taken and there are few outputs: what is left over is merged."""
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
        other = self.adapted(second, self.types[first])
        if self.types[other] != self.types[first]:
            return False
        return self.call("Add", {}, [first, other]) is not None

    def training(self, outputs: list[str]) -> dict[str, Any] | None:
        """A loss for every output, of a kind that suits it, after a last activation where it wants probabilities."""
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
        optimizer = rng.choice(list(OPTIMIZERS.members.values()))
        given = draw.attributes(rng, optimizer, (), 0.25) | {"learning_rate": rng.choice([0.1, 0.01, 0.001])}
        clips = [name for name in given if "clip" in name]
        given = {name: value for name, value in given.items() if name not in clips[1:]}
        training: dict[str, Any] = {"optimizer": {"type": optimizer.type_name, **given}, "seed": rng.choice([0, 1, 7])}
        training["loss"] = next(iter(losses.values())) if one else losses
        if any(metrics.values()):
            training["metrics"] = next(iter(metrics.values())) if one else metrics
        if not one and rng.random() < 0.3:
            training["loss_weights"] = {name: rng.choice([0.5, 2.0, 1.0]) for name in losses}
        return training

    def loss(self, output: str) -> tuple[str, Any, list[Any]] | None:
        rng = self.rng
        for _ in range(TRIES):
            brick = rng.choice(list(LOSSES.members.values()))
            if "from_logits" in brick.attributes and rng.random() < 0.4:
                given: dict[str, Any] = {"from_logits": True}
            else:
                given = {}
            kind = brick.type_name
            drawn = draw.attributes(rng, brick, (self.types[output],), 0.2)
            given |= {key: value for key, value in drawn.items() if key != "from_logits"}
            if "ignore_class" in given:
                given["ignore_class"] = rng.choice([0, 1, None])
            try:
                loss = brick(**given)
                loss.target_type(self.types[output])
            except (ShapeError, TypeError):
                continue
            head = None
            if not given.get("from_logits"):
                head = "sigmoid" if kind in PROBABILITIES else "softmax" if kind in DISTRIBUTIONS else None
                head = "softplus" if kind in POSITIVE else head
            if head:
                output = self.call("Activation", {"activation": head}, [output]) or output
            metrics = [m for m in rng.sample(list(METRICS.members), 3) if self.suits(m, loss, output)][
                : rng.randint(0, 2)
            ]
            return output, ({"type": kind, **given} if given else kind), metrics
        return None

    def suits(self, name: str, loss: Any, output: str) -> bool:
        try:
            METRICS.members[name]().resolve(loss, self.types[output])
        except ShapeError:
            return False
        return True


def infer(layer: Layer, types: list[TensorType]) -> tuple[TensorType, ...]:
    """The types of a layer's results. Raises ShapeError where they are too many, too large, or empty at some size."""
    least, most = layer.arity
    if len(types) < least or (most is not None and len(types) > most):
        raise ShapeError("takes another number of inputs")
    found = layer.infer(*types)
    results = found if isinstance(found, tuple) else (found,)
    if layer.type_name in GROWING and not types[0].dtype.startswith("float"):
        raise ShapeError("makes numbers beyond the vocabulary")
    if LOOKS_UP & {part.type_name for part in nested_components(layer)} and types[0].dtype.startswith("float"):
        raise ShapeError("looks up what may be beyond the vocabulary")
    if layer.activity_regularizer is not None:
        if not all(type.dtype.startswith("float") for type in results):
            raise ShapeError("penalizes integers")
        for type in results:
            layer.activity_regularizer.check(type.shape)
    if not all(fits(type) for type in results):
        raise ShapeError("is too large or has no elements")
    if "Attention" in layer.type_name and not fits(scores(layer, *types)):
        raise ShapeError("compares too many places")
    return results


def scores(layer: Any, query: TensorType, value: TensorType | None = None, *_: TensorType) -> TensorType:
    """What attention computes in between: every place of the query with every place of the value, a head."""
    places = [*query.shape[1:-1], *(query if value is None else value).shape[1:-1]]
    return query.with_shape((query.shape[0], getattr(layer, "num_heads", 1), product(places)))


def suits_weights(layer: Layer, types: list[TensorType]) -> None:
    """ShapeError where a layer's initializers, regularizers and constraints do not suit its weights."""
    if restricts_weights(layer):
        g = Builder()
        try:
            lower_layer(g, layer, [g.input(f"x{index}", type) for index, type in enumerate(types)], [None] * len(types))
        except EmissionError:
            return  # a fault of the layer, for the oracles to find
        check_weights(g)


def fits(type: TensorType) -> bool:
    try:
        sizes = [evaluate_size(size, SYMBOLS) for size in type.shape]
    except ValueError:
        return False
    return all(size > 0 for size in sizes) and prod(sizes) <= LARGEST and len(sizes) <= 6
