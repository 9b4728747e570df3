"""Example inputs of a layer with the resulting shapes, weights and operators, for its reference page.

The examples are computed: the layer's shape rule is applied to inputs with symbolic sizes, so that a convolution
gives `height - 2`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.types import BATCH, Dim, ShapeError, Size, TensorType
from ...layers import Layer
from ...layers.base import infer_types

HEIGHT, WIDTH, DEPTH, TIME = map(Size.named, ("height", "width", "depth", "time"))


def _float_input(*shape: Dim) -> TensorType:
    return TensorType("float32", (BATCH, *shape))


def _int_input(*shape: Dim) -> TensorType:
    return TensorType("int64", (BATCH, *shape))


def _string_input(*shape: Dim) -> TensorType:
    return TensorType("string", (BATCH, *shape))


TensorTypes = tuple[TensorType, ...]

CANDIDATE_INPUTS: tuple[TensorType, ...] = (
    _float_input(32),
    _float_input(TIME, 32),
    _float_input(HEIGHT, WIDTH, 32),
    _float_input(TIME, HEIGHT, WIDTH, 3),
    _float_input(DEPTH, HEIGHT, WIDTH, TIME, 3),
    _float_input(16, 32),
    _float_input(32, 24, 3),
    _float_input(16, 32, 24, 3),
    _float_input(10, 16, 32, 24, 3),
    _int_input(),
    _int_input(TIME),
    _string_input(),
    _string_input(TIME),
)
"""Tried in this order; for each rank, the first that the layer accepts is shown."""

INPUTS_BY_LAYER: dict[str, tuple[TensorTypes, ...]] = {
    "Variable": ((), (_float_input(32),)),
    "Embedding": ((_int_input(),), (_int_input(TIME),)),
    "ReversibleEmbedding": ((_int_input(TIME),), (_float_input(TIME, 8),)),
    "Masking": ((_float_input(TIME, 32),),),
    "SequenceMask": ((_float_input(TIME),), (_float_input(TIME, 32),)),
    "Reshape": ((_float_input(32),), (_float_input(16, 2),)),
    "SimpleRNNCell": ((_float_input(32), _float_input(8)),),
    "GRUCell": ((_float_input(32), _float_input(8)),),
    "LSTMCell": ((_float_input(32), _float_input(8), _float_input(8)),),
    "StackedRNNCells": ((_float_input(32), _float_input(16), _float_input(16), _float_input(8)),),
    "IntegerLookup": ((_int_input(),), (_int_input(TIME),)),
    "CategoryEncoding": ((_int_input(),), (_int_input(5),)),
    "ops.einsum": ((_float_input(32), _float_input(32)), (_float_input(TIME, 32), _float_input(TIME, 32))),
    "ops.diagonal": ((_float_input(16, 32),),),
    "ops.trace": ((_float_input(16, 32),),),
    "ops.take": ((_float_input(32),), (_float_input(16, 32),)),
    "ops.take_along_axis": ((_float_input(32), _int_input(3)), (_float_input(16, 32), _int_input(3, 32))),
    "ops.matmul": ((_float_input(TIME, 32), _float_input(32, 8)),),
    "ops.dot": ((_float_input(32), TensorType("float32", (32, 8))),),
    "ops.tensordot": ((_float_input(32), TensorType("float32", (8, 32))),),
    "ops.inner": ((_float_input(32), TensorType("float32", (8, 32))),),
    "ops.batch_normalization": ((_float_input(TIME, 32), *(TensorType("float32", (32,)),) * 2),),
    "ops.dot_product_attention": ((_float_input(TIME, 4, 8), _float_input(10, 4, 8), _float_input(10, 4, 16)),),
    "OnnxModel": ((_float_input(32),),),
    "Dot": ((_float_input(32), _float_input(32)), (_float_input(TIME, 32), _float_input(5, 32))),
}
"""Inputs for layers whose purpose the first accepted candidate does not show."""

MAX_EXAMPLES = 3
"""Examples of one layer."""


@dataclass(frozen=True)
class LayerExample:
    """Types of inputs that a layer accepts, and the types of the results."""

    inputs: TensorTypes
    outputs: TensorTypes

    def __str__(self) -> str:
        inputs, outputs = (", ".join(map(str, types)) for types in (self.inputs, self.outputs))
        return f"{inputs or 'no input'} → {outputs}"


def layer_examples(layer: Layer) -> list[LayerExample]:
    """One example for each accepted rank, at most three."""
    return _accepted_examples(layer)[:MAX_EXAMPLES]


def accepted_ranks(layer: Layer) -> list[int]:
    """The ranks of the first input that the layer accepts, batch included, among those that are tried (1 to 6)."""
    return sorted({example.inputs[0].rank for example in _accepted_examples(layer) if example.inputs})


def _accepted_examples(layer: Layer) -> list[LayerExample]:
    examples: dict[tuple[str, int], LayerExample] = {}
    for inputs in INPUTS_BY_LAYER.get(layer.type_name) or _candidate_inputs(layer):
        dtype_and_rank = (inputs[0].dtype, inputs[0].rank) if inputs else ("float32", 0)
        if dtype_and_rank not in examples:
            try:
                examples[dtype_and_rank] = LayerExample(inputs, infer_types(layer, *inputs))
            except ShapeError:
                continue
    float_examples = [example for (dtype, _), example in examples.items() if dtype == "float32"]
    return float_examples or list(examples.values())


def _candidate_inputs(layer: Layer) -> Iterator[TensorTypes]:
    count = max(1, layer.arity[0])
    for type in CANDIDATE_INPUTS:
        yield (type,) * count


def example_graph(layer: Layer, example: LayerExample) -> Any:
    """The inference graph of the layer for an example; imports onnx."""
    from ...ir import Builder

    g = Builder()
    inputs = [g.input(f"x{index}", type) for index, type in enumerate(example.inputs)]
    options: dict[str, Any] = {"masks": [None] * len(inputs)} if layer.reads_masks else {}
    with g.scope(layer.type_name):
        results = layer.lower(g, *inputs, **options)
    results = results if isinstance(results, tuple) else (results,)
    return g.graph({f"y{index}": value for index, value in enumerate(results)})


def weights_of(graph: Any) -> list[tuple[str, tuple[Dim, ...]]]:
    """Name and shape of each weight, trained ones first."""
    values = [*graph.parameters.values(), *graph.states.values()]
    return [(value.name.partition("/")[2], value.shape) for value in values]


def weight_descriptions(graph: Any) -> list[str]:
    """`kernel [32, 8]` for each weight, trained ones first."""
    return [f"{name} {_shape_text(shape)}" for name, shape in weights_of(graph)]


def _shape_text(shape: Sequence[Dim]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def operator_names(graph: Any) -> list[str]:
    """The operators of a graph in the order of their first use, each once."""
    return list(dict.fromkeys(f"{node.domain}.{node.op}" if node.domain else node.op for node in graph.nodes))
