"""Draws the attributes of a layer from its schema, with preference for boundary values.

A new layer whose attributes are numbers, choices and components needs no entry here. Attributes that depend on the
inputs in a way that no schema describes (axes, permutations, equations) have an entry in BY_NAME; those that depend on
other attributes have one in BY_TYPE.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import prod
from random import Random
from typing import Any

from jsonnx.core.components import REQUIRED, Component, Registry
from jsonnx.core.types import Size, TensorType
from jsonnx.frontend.schema.schema import REGISTRIES
from jsonnx.layers import LAYERS
from jsonnx.layers.image.geometric_augmentation import HostAugmentation
from jsonnx.layers.ops.base import Operation
from jsonnx.layers.preprocessing.adaptable import Adaptable

VOCABULARY = 11
"""Exclusive upper bound of integer inputs."""

INTEGERS = ["int64", "int32"]
CELLS = ("SimpleRNNCell", "GRUCell", "LSTMCell")
REGISTRY_BY_KIND = {registry.kind: registry for registry in (*REGISTRIES, LAYERS)}
NOT_NESTED = (HostAugmentation, Adaptable, Operation)
"""Layers that are not drawn inside another layer."""

NOT_DRAWN = {
    "exclude_from_weight_decay",
    "exclude_layers",
    "input_axes",
    "output_axes",
    "mean",
    "variance",
    "name",
    "dtype",
    "use_cudnn",
    "arguments",
}
NUMBERS = [0.0, 0.01, 0.1, 0.25, 0.5, 0.9, 1.0, 1.5, 2.0, -0.5, -1.0]
Types = tuple[TensorType, ...]

INPUTS: dict[str, Callable[[Random], tuple[list[Any], str]]] = {
    "Embedding": lambda rng: (rng.choice([[1], [5], [3, 2]]), rng.choice(INTEGERS)),
    "CategoryEncoding": lambda rng: (rng.choice([[1], [4], [3, 2]]), rng.choice(INTEGERS)),
    "STFTSpectrogram": lambda rng: (rng.choice([[16], [20, 1], [17, 2]]), "float32"),
    "MelSpectrogram": lambda rng: (rng.choice([[32], [40]]), "float32"),
    "Masking": lambda rng: ([rng.randint(1, 7), rng.randint(1, 4)], "float32"),
    "SequenceMask": lambda rng: ([rng.randint(1, 7), rng.randint(1, 4)], "float32"),
    "ConvLSTM1D": lambda rng: ([rng.randint(1, 4), rng.randint(3, 5), 2], "float32"),
    "ConvLSTM2D": lambda rng: ([rng.randint(1, 3), 4, rng.randint(3, 5), 2], "float32"),
    "ConvLSTM3D": lambda rng: ([rng.randint(1, 2), 3, 2, 3, rng.randint(1, 2)], "float32"),
    **dict.fromkeys(CELLS, lambda rng: ([rng.randint(1, 5)], "float32")),
}
"""Shape and element type of an input, for layers that reject most drawn inputs."""


def static_size(size: Any) -> int:
    """Returns a size as an integer, 7 for symbolic sizes, to draw windows that fit."""
    return size if isinstance(size, int) else 7


def attributes(rng: Random, component: type[Component], inputs: Types, chance: float = 0.3) -> dict[str, Any]:
    """Draws the required and some optional attributes, most of them valid for these inputs."""
    drawn = {}
    properties = properties_of(component)
    for name, attribute in component.attributes.items():
        if attribute.unsupported is not None or name in NOT_DRAWN:
            continue
        if attribute.default is REQUIRED or rng.random() < _chance(name, chance):
            drawn[name] = _attribute(rng, name, properties[name], inputs)
    dependent = BY_TYPE.get(component.type_name)
    return drawn if dependent is None else drawn | dependent(rng, drawn, inputs)


@cache
def properties_of(component: type[Component]) -> dict[str, Any]:
    return component.schema()["properties"]


def _chance(name: str, chance: float) -> float:
    if name in ("trainable", "activity_regularizer", "seed"):
        return 0.05
    rare = name.endswith(("_initializer", "_regularizer", "_constraint"))
    return 0.1 if rare else chance


def _attribute(rng: Random, name: str, schema: dict[str, Any], inputs: Types) -> Any:
    return BY_NAME[name](rng, inputs) if name in BY_NAME else value(rng, schema, inputs, name)


def value(rng: Random, schema: dict[str, Any], inputs: Types, name: str = "") -> Any:
    """Draws a value that is valid by a JSON Schema."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return rng.choice(schema["enum"])
    if "$ref" in schema:
        return component(rng, REGISTRY_BY_KIND[schema["$ref"].rpartition("/")[2]], inputs, name)
    if "anyOf" in schema:
        return value(rng, rng.choice(schema["anyOf"]), inputs, name)
    kind = schema["type"]
    kind = rng.choice(kind) if isinstance(kind, list) else kind
    if kind == "object":
        return {k: value(rng, v, inputs, k) for k, v in schema["properties"].items() if rng.random() < 0.7}
    if kind == "array":
        count = rng.randint(schema.get("minItems", 1), schema.get("maxItems", 3))
        return [value(rng, schema["items"], inputs, name) for _ in range(count)]
    draws: dict[str, Callable[[], Any]] = {
        "integer": lambda: integer(rng, schema, inputs, name),
        "number": lambda: number(rng, schema),
        "boolean": lambda: rng.random() < 0.5,
        "null": lambda: None,
        "string": lambda: rng.choice(["a", "b"]),
    }
    return draws[kind]()


def component(rng: Random, registry: Registry, inputs: Types, name: str = "") -> Any:
    """Draws a component of a registry, by name or with attributes."""
    if (registry.kind == "activation" and name == "recurrent_activation") or (
        inputs and registry.kind == "activation" and rng.random() < 0.3
    ):
        return rng.choice(["sigmoid", "tanh", "hard_sigmoid", "relu"])
    chosen = rng.choice(list(registry.members.values()))
    drawn = attributes(rng, chosen, inputs if registry.kind in ("activation", "layer") else (), 0.5)
    by_name = not drawn and chosen.type_name in registry.bare_names()
    return chosen.type_name if by_name else {"type": chosen.type_name, **drawn}


def integer(rng: Random, schema: dict[str, Any], inputs: Types, name: str = "") -> int:
    """Draws 1, 2, a prime, a size of the input or one less; for window attributes mostly a small number."""
    sizes = [static_size(size) for x in inputs for size in x.shape[1:]]
    pool = [1, 1, 2, 2, 3, 3, 4, 5, 7, *sizes, *(size - 1 for size in sizes)]
    least, most = schema.get("minimum", 0), min(schema.get("maximum", 12), 12)
    fitting = [number for number in pool if least <= number <= most]
    if (
        name in ("kernel_size", "strides", "pool_size", "dilation_rate", "padding", "cropping", "size")
        and rng.random() < 0.7
    ):
        fitting = [number for number in (0, 1, 2, 3) if number >= least]
    return rng.choice(fitting or [least])


def number(rng: Random, schema: dict[str, Any]) -> float:
    ends = [schema[key] for key in ("minimum", "maximum") if key in schema]
    fitting = [
        number
        for number in [*NUMBERS, *map(float, ends)]
        if schema.get("minimum", number) <= number <= schema.get("maximum", number)
        and ("exclusiveMinimum" not in schema or number > schema["exclusiveMinimum"])
        and ("exclusiveMaximum" not in schema or number < schema["exclusiveMaximum"])
    ]
    return rng.choice(fitting)


# -- attributes that depend on the inputs ------------------------------------------------------------------------------


def axis(rng: Random, inputs: Types) -> int:
    """Draws an axis other than the batch, counted from either end."""
    if not inputs:
        return 0
    rank = inputs[0].rank
    if rank < 2:
        return -1
    return rng.choice([-1, rng.randint(1, rank - 1), -rng.randint(1, rank - 1)])


def axes(rng: Random, inputs: Types) -> Any:
    if not inputs or rng.random() < 0.6:
        return axis(rng, inputs)
    rank = inputs[0].rank
    return sorted(rng.sample(range(1, rank), rng.randint(1, rank - 1))) if rank > 1 else -1


def target_shape(rng: Random, inputs: Types) -> list[int]:
    """Draws a shape with the same number of elements, sometimes with one size to be inferred (-1)."""
    sizes = inputs[0].shape[1:]
    if not all(isinstance(size, int) for size in sizes):
        fixed = prod(size for size in sizes if isinstance(size, int))
        return rng.choice([[-1, fixed], [-1, 1, fixed]])
    rest, shape = prod(sizes), []
    while rest > 1 and len(shape) < 3:
        divisors = [d for d in range(2, min(rest, 64) + 1) if rest % d == 0] or [rest]
        shape.append(rng.choice(divisors))
        rest //= shape[-1]
    if rest > 1 or not shape:
        shape.append(rest)
    rng.shuffle(shape)
    if rng.random() < 0.3:
        shape[rng.randrange(len(shape))] = -1
    return shape


def dims(rng: Random, inputs: Types) -> list[int]:
    return rng.sample(range(1, inputs[0].rank), inputs[0].rank - 1)


def noise_shape(rng: Random, inputs: Types) -> list[int | None]:
    return [rng.choice([None, 1]) for _ in inputs[0].shape]


def groups(rng: Random, inputs: Types) -> int:
    last = static_size(inputs[0].shape[-1])
    return rng.choice([divisor for divisor in range(1, last + 1) if last % divisor == 0])


def shared_axes(rng: Random, inputs: Types) -> Any:
    rank = inputs[0].rank
    return sorted(rng.sample(range(1, rank), rng.randint(1, rank - 1))) if rank > 1 else None


def numbers(rng: Random, inputs: Types) -> Any:
    last = inputs[0].shape[-1]
    per_channel = isinstance(last, int) and inputs[0].rank > 1 and rng.random() < 0.3
    return (
        [rng.choice([0.5, 1.0, 2.0, -1.0]) for _ in range(last)]
        if per_channel
        else rng.choice([0.5, 1.0, 2.0, -1.0, 1 / 255])
    )


def choice_of(*choices: Any) -> Callable[[Random, Types], Any]:
    return lambda rng, inputs: rng.choice(choices)


BY_NAME: dict[str, Callable[[Random, Types], Any]] = {
    "axis": axes,
    "axes": axis,
    "attention_axes": axes,
    "target_shape": target_shape,
    "dims": dims,
    "noise_shape": noise_shape,
    "b": lambda rng, inputs: rng.choice(
        [0.01, 0.5, 4.0, 30.0]
    ),  # of squareplus, which has no derivative at 0 if b is 0
    "groups": groups,
    "shared_axes": shared_axes,
    "n": choice_of(1, 2, 3),
    "rate": choice_of(0.0, 0.1, 0.3, 0.5, 0.9),
    "dropout": choice_of(0.0, 0.0, 0.2, 0.5),
    "stddev": choice_of(0.0, 0.1, 1.0),
    "seed": choice_of(0, 1, 7),
    "epsilon": choice_of(1e-3, 1e-5, 1e-7, 0.1),
    "momentum": choice_of(0.0, 0.5, 0.9, 0.99),
    "input_dim": choice_of(VOCABULARY, VOCABULARY + 2),
    "num_tokens": choice_of(VOCABULARY, VOCABULARY + 2),
    "value_range": choice_of([0, 255], [0, 1], [-1, 1]),
    "equation": choice_of("ab,bc->ac"),
    "layer": choice_of("LSTM"),  # inner layers are drawn in BY_TYPE
    "backward_layer": choice_of("LSTM"),
    "cell": choice_of("LSTMCell"),
    "cells": choice_of("LSTMCell"),
    "bias_axes": choice_of(None),
    "vocabulary": choice_of(None),
    "delta": choice_of(0.5, 1.0, 2.0),
    "max_value": choice_of(0.5, 1.0, 6.0),
    "min_value": choice_of(0.0, 0.25),
}


# -- attributes that depend on other attributes ------------------------------------------------------------------------


def _filters(rng: Random, drawn: dict[str, Any], inputs: Types) -> dict[str, Any]:
    """Makes filters a multiple of the groups, and mostly drops strides or dilation if both are drawn."""
    changes: dict[str, Any] = {}
    if drawn.get("groups", 1) > 1:
        changes["filters"] = drawn["groups"] * rng.choice([1, 1, 2, 3])
    if "strides" in drawn and "dilation_rate" in drawn and rng.random() < 0.9:
        changes[rng.choice(["strides", "dilation_rate"])] = 1
    return changes


def _einsum(rng: Random, drawn: dict[str, Any], inputs: Types) -> dict[str, Any]:
    rank = inputs[0].rank
    letters = "bcdefghi"[:rank]
    size = rng.randint(1, 4)
    patterns: list[tuple[str, Any]] = [
        ("...x,xy->...y", [*([None] * (rank - 2)), size]),
        (f"{letters},{letters[-1]}y->{letters[:-1]}y", [*([None] * (rank - 2)), size]),
        (f"{letters},{letters[-1]}yz->{letters[:-1]}yz", [*([None] * (rank - 2)), size, 2]),
    ]
    if rank > 2:
        patterns.append((f"{letters},{letters[-2:]}y->{letters[:-2]}y", [*([None] * (rank - 3)), size]))
        patterns.append((f"{letters},{letters[1]}y->{letters[0]}{letters[2:]}y", [*([None] * (rank - 2)), size]))
    equation, shape = rng.choice(patterns)
    changes = {"equation": equation, "output_shape": shape if len(shape) > 1 or rng.random() < 0.5 else shape[0]}
    if rng.random() < 0.5:
        changes["bias_axes"] = equation[-1]
    return changes


def _normalization(rng: Random, drawn: dict[str, Any], inputs: Types) -> dict[str, Any]:
    if rng.random() < 0.5:
        return {"axis": -1}
    return {"mean": rng.choice([0.0, 0.5]), "variance": rng.choice([1.0, 0.25, 4.0])}


def _lookup(rng: Random, drawn: dict[str, Any], inputs: Types) -> dict[str, Any]:
    tokens = rng.sample(range(VOCABULARY), 3)
    mode = rng.choice(["int", "one_hot", "multi_hot", "count", "tf_idf"])
    return {
        "vocabulary": tokens,
        "num_oov_indices": rng.choice([1, 2, 3]),
        "max_tokens": None,
        "mask_token": rng.choice([None, next(n for n in range(VOCABULARY) if n not in tokens)]),
        "oov_method": "floormod",
        "invert": False,
        "output_mode": mode,
        "pad_to_max_tokens": False,
        "idf_weights": [0.5, 1.0, 2.0] if mode == "tf_idf" else None,
    }


def _bidirectional(rng: Random, drawn: dict[str, Any], inputs: Types) -> dict[str, Any]:
    layer = LAYERS.by_name[rng.choice(["LSTM", "GRU", "SimpleRNN"])]
    forward = {"type": layer.type_name, **attributes(rng, layer, inputs)}
    forward.pop("activity_regularizer", None)
    changes: dict[str, Any] = {"layer": forward}
    if "backward_layer" in drawn:
        changes["backward_layer"] = forward | {"go_backwards": not forward.get("go_backwards", False)}
    return changes


def _inner(rng: Random, kind: str, inputs: Types) -> dict[str, Any]:
    """Draws a layer inside another layer."""
    drawn = attributes(rng, LAYERS.by_name[kind], inputs)
    drawn.pop("activity_regularizer", None)
    return {"type": kind, **drawn}


def _time_distributed(rng: Random, drawn: dict[str, Any], inputs: Types) -> dict[str, Any]:
    x = inputs[0]
    step = x.with_shape((x.shape[0], *x.shape[2:]))
    wrappers = ("TimeDistributed", "Bidirectional", "RNN", "StackedRNNCells", "Pipeline")
    inner = {kind: layer for kind, layer in LAYERS.members.items() if not issubclass(layer, NOT_NESTED)}
    kinds = [kind for kind, layer in inner.items() if layer.arity[0] == 1 and kind not in wrappers]
    return {"layer": _inner(rng, rng.choice(kinds), (step,)) if step.rank > 1 else {"type": "Identity"}}


def _frames(rng: Random) -> dict[str, Any]:
    """Draws frames that fit into 16 samples, with a step of at most and a transform of at least their length."""
    length = rng.choice([2, 4, 5, 8])
    return {
        "frame_length": length,
        "frame_step": rng.choice([None, 1, length]),
        "fft_length": rng.choice([None, length, 8]) if length <= 8 else None,
    }


def _rnn(rng: Random, drawn: dict[str, Any], inputs: Types) -> dict[str, Any]:
    if rng.random() < 0.3:
        cells = [_inner(rng, rng.choice(CELLS), inputs) for _ in range(rng.choice([1, 2]))]
        return {"cell": {"type": "StackedRNNCells", "cells": cells}}
    return {"cell": _inner(rng, rng.choice(CELLS), inputs)}


def _heads(rng: Random, drawn: dict[str, Any], inputs: Types) -> dict[str, Any]:
    shared = rng.choice([1, 2, 3])
    return {
        "num_key_value_heads": shared,
        "num_query_heads": shared * rng.choice([1, 2]),
        "head_dim": rng.choice([1, 2, 3, 5]),
    }


def _positions(rng: Random, drawn: dict[str, Any], inputs: Types) -> dict[str, Any]:
    """Draws vectors for all positions, and for some more where the length of the sequence is not known."""
    start = rng.choice([0, 0, 1, 3])
    length = inputs[0].shape[-2] if inputs[0].rank > 2 else 1
    spare = rng.choice([0, 1]) if isinstance(length, int) else 64
    return {"start_index": start, "sequence_length": static_size(length) + start + spare}


BY_TYPE: dict[str, Callable[[Random, dict[str, Any], Types], dict[str, Any]]] = {
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D"), _filters),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"), _filters),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _filters),
    "EinsumDense": _einsum,
    "LayerScale": lambda rng, drawn, inputs: {"projection_dim": inputs[0].shape[-1]},
    "Normalization": _normalization,
    "Bidirectional": _bidirectional,
    "GroupQueryAttention": _heads,
    "PositionEmbedding": _positions,
    "SinePositionEncoding": lambda rng, drawn, inputs: {"start_index": rng.choice([0, 2])},
    "RotaryEmbedding": lambda rng, drawn, inputs: {"start_index": rng.choice([0, 2]), "sequence_axis": 1},
    "RNN": _rnn,
    "StackedRNNCells": lambda rng, drawn, inputs: {
        "cells": [_inner(rng, rng.choice(CELLS[:2]), inputs) | {"units": state.shape[-1]} for state in inputs[1:]]
    },
    "SpectralNormalization": lambda rng, drawn, inputs: {
        "layer": _inner(rng, rng.choice(["Dense", "Conv1D", "Conv2D", "EinsumDense"]), inputs)
    },
    "STFTSpectrogram": lambda rng, drawn, inputs: _frames(rng),
    "MelSpectrogram": lambda rng, drawn, inputs: (
        {"fft_length": rng.choice([8, 16]), "sequence_stride": rng.choice([4, 8]), "num_mel_bins": rng.choice([1, 3])}
        | {"sequence_length": rng.choice([None, 5, 8]), "max_freq": None, "min_freq": 20.0, "sampling_rate": 8000}
        | {"mag_exp": rng.choice([0.5, 1.0, 2.0, 3.0])}  # with 0 all derivatives are 0
    ),
    "Discretization": lambda rng, drawn, inputs: {
        "bin_boundaries": rng.choice([[0.0], [-1.0, 0.5], [-0.5, 0.0, 0.25]]),
        "num_bins": None,
    },
    "TimeDistributed": _time_distributed,
    "IntegerLookup": _lookup,
    "Rescaling": lambda rng, drawn, inputs: {"scale": numbers(rng, inputs), "offset": numbers(rng, inputs)},
    "ReversibleEmbedding": lambda rng, drawn, inputs: (
        {"output_dim": inputs[0].shape[-1]}
        if inputs[0].dtype == "float32" and isinstance(inputs[0].shape[-1], int)
        else {}
    ),
    "constant": lambda rng, drawn, inputs: {"value": rng.choice([0.0, 0.1, -0.5])},
}

__all__ = ["VOCABULARY", "Size", "attributes", "static_size", "value"]
