"""Brings an ONNX model to our operator set: inlines functions, converts other opsets, and takes constants and large
weights out of its nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod

import onnx
from onnx import defs, inliner, shape_inference, version_converter

from ..core.limits import MAX_ONNX_GRAPH_DEPTH, MAX_OPERATORS
from ..ir.type_inference import OPSET
from .graph_emitter import MICROSOFT
from .module_paths import name_by_scopes
from .tensors import FLOAT_TYPES, constant_tensor, dense_tensor
from .unreadable_graph import DAMAGED, TOO_LARGE, UnreadableGraph

MIN_OPSET = 7
"""The lowest opset that is converted: before it, operators broadcast by an attribute."""
MAX_OPSET = 24
MIN_DETACHED_ELEMENTS = 1025
"""Elements of the smallest tensor that is an input of the model while it is converted. No shape has that many."""
FUSED_IN_ONNX_DOMAIN = ("LayerNormalization", "SimplifiedLayerNormalization")
"""Operators that onnxruntime's optimizer writes in ONNX' domain, also where the opset does not have them."""
MAX_DEFINITION_DEPTH = 3
"""Definitions of operators that contain operators with a definition."""
INLINED_OPERATORS = (
    "Attention",
    "GroupNormalization",
    "MeanVarianceNormalization",
    "NegativeLogLikelihoodLoss",
    "RMSNormalization",
    "RotaryEmbedding",
    "SoftmaxCrossEntropyLoss",
    "Swish",
)
"""Operators without a gradient rule that ONNX defines by other ones."""


def converted(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, onnx.TensorProto]]:
    """The model in our operator set, without local functions, and its large tensors, which are inputs of the result.

    The model given is changed. Raises UnreadableGraph.
    """
    opset = _checked_opset(model)
    model.ir_version = max(model.ir_version, 8)  # before IR 4, initializers had to be inputs
    _strip_texts(model.graph, opset)
    _constants_to_initializers(model.graph)
    tensors = _detach(model.graph)
    _require_bounded_functions(model)
    try:
        if model.functions:
            model = inliner.inline_local_functions(model)
        if opset < OPSET:
            model = version_converter.convert_version(model, OPSET)
        model = _with_inlined_operators(model)
    except Exception as error:  # onnx raises several classes, and some errors of C++ as RuntimeError
        reason = str(error).strip().split("\n")[0][:300]
        raise UnreadableGraph(f"onnx cannot convert it from opset {opset} to {OPSET}: {reason}", DAMAGED) from error
    _constants_to_initializers(model.graph)
    return model, tensors


def _checked_opset(model: onnx.ModelProto) -> int:
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    opset = max(versions, default=OPSET)
    if not MIN_OPSET <= opset <= MAX_OPSET:
        message = f"it has opset {opset}; the opsets {MIN_OPSET} to {MAX_OPSET} are read"
        raise UnreadableGraph(message, help="export the model again, with opset 17 or 18")
    return opset


def _require_bounded_functions(model: onnx.ModelProto) -> None:
    """Raises UnreadableGraph if local functions call themselves, or have too many nodes after they are inlined."""
    functions = {(function.domain, function.name): function for function in model.functions}
    counts: dict[tuple[str, str], int] = {}

    def node_count(nodes: Iterable[onnx.NodeProto], callers: frozenset[tuple[str, str]]) -> int:
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            if key in callers or len(callers) > MAX_ONNX_GRAPH_DEPTH:
                raise UnreadableGraph(f"its function {node.op_type!r} calls itself, or calls are nested too deep")
            if key in functions and key not in counts:
                counts[key] = node_count(functions[key].node, callers | {key})
            total += counts.get(key, 1)
            for attribute in node.attribute:
                total += node_count(attribute.g.node, callers) if attribute.HasField("g") else 0
            if total > MAX_OPERATORS:
                raise UnreadableGraph(f"it has more than {MAX_OPERATORS:,} operators", TOO_LARGE)
        return total

    node_count(model.graph.node, frozenset())


def _with_inlined_operators(model: onnx.ModelProto, depth: int = 0) -> onnx.ModelProto:
    """The model with definitions in place of operators that have no gradient rule, also of those in definitions."""
    names = sorted({node.op_type for node in _all_nodes(model.graph) if not node.domain} & {*INLINED_OPERATORS})
    if not names:
        return model
    typed = shape_inference.infer_shapes(_with_initializer_types(model), data_prop=True)
    for node in _all_nodes(typed.graph):
        if node.op_type in names and not node.domain:
            _write_defaults(node, model)
    ids = [("", name) for name in names]
    inlined = inliner.inline_selected_functions(typed, ids, exclude=False, inline_schema_functions=True)
    return _with_inlined_operators(inlined, depth + 1) if depth < MAX_DEFINITION_DEPTH else inlined


def _write_defaults(node: onnx.NodeProto, model: onnx.ModelProto) -> None:
    """Gives a node the attributes that it leaves out, since the inliner does not know their defaults."""
    opset = max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    present = {attribute.name for attribute in node.attribute}
    for name, attribute in defs.get_schema(node.op_type, opset).attributes.items():
        if name not in present and attribute.default_value.name:
            node.attribute.append(attribute.default_value)


def _with_initializer_types(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with types of its initializers, which the definitions of operators depend on."""
    known = {value.name for value in (*model.graph.input, *model.graph.value_info)}
    model.graph.value_info.extend(
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in model.graph.initializer
        if tensor.name not in known
    )
    return model


def _all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a graph and of the graphs in its attributes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _all_nodes(inner)


def _strip_texts(graph: onnx.GraphProto, opset: int) -> None:
    """Removes comments, types of inner values and metadata, of which only the modules of nodes are kept, in their
    names. Fused operators without a domain get onnxruntime's."""
    own_operators = {name for name in FUSED_IN_ONNX_DOMAIN if defs.has(name, opset)}
    graph.doc_string = ""
    graph.ClearField("value_info")
    for node in _all_nodes(graph):
        node.name, node.doc_string = name_by_scopes(node), ""
        node.ClearField("metadata_props")
        node.domain = "" if node.domain == "ai.onnx" else node.domain
        if not node.domain and node.op_type in FUSED_IN_ONNX_DOMAIN and node.op_type not in own_operators:
            node.domain = MICROSOFT


def _constants_to_initializers(graph: onnx.GraphProto) -> None:
    """Replaces Constant nodes and sparse initializers by initializers."""
    nodes = []
    for node in graph.node:
        if node.op_type == "Constant" and not node.domain:
            if any(attribute.name in ("value_string", "value_strings") for attribute in node.attribute):
                raise UnreadableGraph(f"its constant {node.output[0]!r} is a text")
            tensor = onnx.TensorProto()
            tensor.CopyFrom(constant_tensor(node))
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
        else:
            nodes.append(node)
    if len(nodes) < len(graph.node):
        kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        graph.ClearField("node")
        graph.node.extend(kept)
    graph.initializer.extend(dense_tensor(sparse) for sparse in graph.sparse_initializer)
    graph.ClearField("sparse_initializer")


def _detach(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Turns large tensors into inputs of the graph, and removes other initializers from its inputs."""
    large = {t.name: t for t in graph.initializer if _is_detached(t)}
    small = [t for t in graph.initializer if t.name not in large]
    names = {t.name for t in graph.initializer}
    inputs = [value for value in graph.input if value.name not in names]
    inputs += [onnx.helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in large.values()]
    detached = {name: onnx.TensorProto() for name in large}
    for name, tensor in large.items():
        detached[name].CopyFrom(tensor)
    kept = [onnx.TensorProto.FromString(t.SerializeToString()) for t in small]
    copies = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in inputs]
    for field in ("initializer", "input"):
        graph.ClearField(field)
    graph.initializer.extend(kept)
    graph.input.extend(copies)
    return detached


def _is_detached(tensor: onnx.TensorProto) -> bool:
    is_number = tensor.data_type in FLOAT_TYPES or tensor.data_type in (
        onnx.TensorProto.INT8,
        onnx.TensorProto.UINT8,
    )
    return is_number and prod(tensor.dims) >= MIN_DETACHED_ELEMENTS
