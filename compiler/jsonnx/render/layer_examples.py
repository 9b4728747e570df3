"""What a layer makes of inputs, found by trying: the shapes, with symbolic sizes, the weights and the operators.

The rows of a layer's reference are not written by anybody: its shape rule is asked with symbols in place of sizes, so
that a convolution itself says `height - 2`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.types import BATCH, Dim, ShapeError, Size, TensorType
from ..layers import Layer
from ..layers.base import listed

HEIGHT, WIDTH, DEPTH, TIME = map(Size.named, ("height", "width", "depth", "time"))


def _real(*shape: Dim) -> TensorType:
    return TensorType("float32", (BATCH, *shape))


def _whole(*shape: Dim) -> TensorType:
    return TensorType("int64", (BATCH, *shape))


def _text(*shape: Dim) -> TensorType:
    return TensorType("string", (BATCH, *shape))


Inputs = tuple[TensorType, ...]

CANDIDATES: tuple[TensorType, ...] = (
    _real(32),
    _real(TIME, 32),
    _real(HEIGHT, WIDTH, 32),
    _real(TIME, HEIGHT, WIDTH, 3),
    _real(DEPTH, HEIGHT, WIDTH, TIME, 3),
    _real(16, 32),
    _real(32, 24, 3),
    _real(16, 32, 24, 3),
    _real(10, 16, 32, 24, 3),
    _whole(),
    _whole(TIME),
    _text(),
    _text(TIME),
)
"""Tried in this order; of every rank the first that suits is shown."""

CHOSEN: dict[str, tuple[Inputs, ...]] = {
    "Embedding": ((_whole(),), (_whole(TIME),)),
    "ReversibleEmbedding": ((_whole(TIME),), (_real(TIME, 8),)),
    "Masking": ((_real(TIME, 32),),),
    "Reshape": ((_real(32),), (_real(16, 2),)),
    "SimpleRNNCell": ((_real(32), _real(8)),),
    "GRUCell": ((_real(32), _real(8)),),
    "LSTMCell": ((_real(32), _real(8), _real(8)),),
    "StackedRNNCells": ((_real(32), _real(16), _real(16), _real(8)),),
    "IntegerLookup": ((_whole(),), (_whole(TIME),)),
    "CategoryEncoding": ((_whole(),), (_whole(5),)),
    "ops.einsum": ((_real(32), _real(32)), (_real(TIME, 32), _real(TIME, 32))),
    "ops.take": ((_real(32),), (_real(16, 32),)),
    "ops.take_along_axis": ((_real(32), _whole(3)), (_real(16, 32), _whole(3, 32))),
    "ops.matmul": ((_real(TIME, 32), _real(32, 8)),),
    "ops.dot": ((_real(32), TensorType("float32", (32, 8))),),
    "ops.tensordot": ((_real(32), TensorType("float32", (8, 32))),),
    "ops.inner": ((_real(32), TensorType("float32", (8, 32))),),
    "ops.batch_normalization": ((_real(TIME, 32), *(TensorType("float32", (32,)),) * 2),),
    "ops.dot_product_attention": ((_real(TIME, 4, 8), _real(10, 4, 8), _real(10, 4, 16)),),
    "Dot": ((_real(32), _real(32)), (_real(TIME, 32), _real(5, 32))),
}
"""Where what suits first does not show what the layer is for."""

SHOWN = 3
"""Rows a layer."""


@dataclass(frozen=True)
class Trial:
    """Inputs that suit a layer, and what it makes of them."""

    inputs: Inputs
    outputs: Inputs

    def __str__(self) -> str:
        given, made = (", ".join(map(str, types)) for types in (self.inputs, self.outputs))
        return f"{given} → {made}"


def trials(layer: Layer) -> list[Trial]:
    """A row for every rank that suits, up to three."""
    found: dict[tuple[str, int], Trial] = {}
    for inputs in CHOSEN.get(layer.type_name) or _candidates(layer):
        kind = inputs[0].dtype, inputs[0].rank
        if kind not in found:
            try:
                found[kind] = Trial(inputs, listed(layer.infer(*inputs)))
            except ShapeError:
                continue
    real = [trial for (dtype, _), trial in found.items() if dtype == "float32"]
    return (real or list(found.values()))[:SHOWN]


def _candidates(layer: Layer) -> Iterator[Inputs]:
    count = max(1, layer.arity[0])
    for type in CANDIDATES:
        yield (type,) * count


def _fixed(type: TensorType) -> TensorType:
    """The type with a number in place of every symbol but the batch."""
    return type.with_shape(tuple(16 if isinstance(size, Size) and size != BATCH else size for size in type.shape))


def lowered(layer: Layer, trial: Trial) -> Any:
    """The inference graph of the layer in a trial; needs onnx."""
    from ..ir import Builder

    g = Builder()
    inputs = [g.input(f"x{index}", type) for index, type in enumerate(trial.inputs)]
    options: dict[str, Any] = {"masks": [None] * len(inputs)} if layer.reads_masks else {}
    with g.at(layer.type_name):
        results = layer.lower(g, *inputs, **options)
    results = results if isinstance(results, tuple) else (results,)
    return g.graph({f"y{index}": value for index, value in enumerate(results)})


def weights(graph: Any) -> list[str]:
    """`kernel [32, 8]`, of trained weights first."""
    values = [*graph.parameters.values(), *graph.states.values()]
    return [f"{value.name.partition('/')[2]} {_sizes(value.shape)}" for value in values]


def _sizes(shape: Sequence[Dim]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def operators(graph: Any) -> list[str]:
    """The operators of a graph, each once, in their order."""
    return list(dict.fromkeys(f"{node.domain}.{node.op}" if node.domain else node.op for node in graph.nodes))
