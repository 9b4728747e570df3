"""Converts a graph to an ONNX model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper

from ..core.random_inputs import RANDOM_INPUTS, random_inputs_json
from ..core.reserved_names import next_name
from ..core.types import DATA_DEPENDENT, Size, TensorType
from ..ir import Constant, Graph, Node, Subgraph, Value, node_metadata, onnx_dtype
from ..ir.type_inference import is_unknown_size
from .metadata import package_version
from .model_writer import ModelWriter, split_tensor
from .opset import lowest_opset

PRODUCER_NAME = "jsonnx"
MAX_HASHED_BYTES = 1 << 16
"""Maximum size of a constant, in bytes, that is found by all of its elements; of larger ones by some."""
DOMAIN_VERSIONS = {"ai.onnx.ml": 4}
"""The versions of domains other than ONNX's; 1 for a domain that is not listed."""


class ValueNames:
    """Unique names of values and nodes. The first use of a base name gets it; later ones get a numeric suffix."""

    def __init__(self) -> None:
        self.by_value: dict[Value, str] = {}
        self._used: set[str] = set()
        self._next_suffix: dict[str, int] = {}

    def unique(self, base_name: str) -> str:
        name, number = base_name, self._next_suffix.get(base_name, 1)
        while name in self._used:
            name, number = f"{base_name}_{number}", number + 1
        self._next_suffix[base_name] = number
        self._used.add(name)
        return name

    def assign(self, value: Value, base_name: str) -> str:
        self.by_value[value] = self.unique(base_name)
        return self.by_value[value]


def to_model_proto(graph: Graph, *, name: str = "model", metadata: Mapping[str, str] | None = None) -> onnx.ModelProto:
    """The graph as a model. Constants are initializers; inputs, parameters, states and random numbers are inputs of the
    model, in this order."""
    return to_model_writer(graph, name=name, metadata=metadata).to_proto()


def to_model_writer(graph: Graph, *, name: str = "model", metadata: Mapping[str, str] | None = None) -> ModelWriter:
    """`to_model_proto`, with the elements of the constants still in arrays."""
    names = ValueNames()
    fed = [*graph.inputs.items(), *graph.parameters.items(), *graph.states.items(), *graph.randoms.items()]
    for input_name, value in fed:
        names.assign(value, input_name)
    results = {**graph.outputs, **{next_name(state): value for state, value in graph.updates.items()}}
    renamed = _name_outputs(graph, results, names)
    constants, arrays = _initializers(graph, results.values(), names)
    proto = helper.make_graph(
        [],
        name,
        [_value_info(input_name, value.type) for input_name, value in fed],
        [_value_info(result, value.type) for result, value in results.items()],
        constants,
    )
    _add_nodes(proto, graph, names)
    proto.node.extend(renamed(names))
    proto.value_info.extend(_value_info(names.by_value[value], value.type) for value in _uninferable_results(graph))
    opsets = [helper.make_opsetid("", lowest_opset(graph)), *_domains(graph)]
    model = helper.make_model(
        proto,
        opset_imports=opsets,
        producer_name=PRODUCER_NAME,
        producer_version=package_version(),
    )
    model.ir_version = helper.find_min_ir_version_for(opsets, ignore_unknown=True)
    helper.set_model_props(model, dict(sorted({**(metadata or {}), **_random_metadata(graph)}.items())))
    return ModelWriter(model, arrays)


def serialize(model: onnx.ModelProto) -> bytes:
    """The bytes of the model, deterministically."""
    return bytes(model.SerializeToString(deterministic=True))


def _random_metadata(graph: Graph) -> dict[str, str]:
    """The distributions of the random inputs that other programs may feed, if there are any."""
    distributions = {name: value.distribution for name, value in graph.randoms.items() if value.is_model_input}
    return {RANDOM_INPUTS: random_inputs_json(distributions)} if distributions else {}


def _domains(graph: Graph) -> list[onnx.OperatorSetIdProto]:
    domains = sorted(_used_domains(graph) - {""})
    return [helper.make_opsetid(domain, DOMAIN_VERSIONS.get(domain, 1)) for domain in domains]


def _used_domains(graph: Graph) -> set[str]:
    """The domains of the nodes, including those in the bodies of loops and conditionals."""
    bodies = (body for node in graph.nodes for body in node.bodies.values())
    return {node.domain for node in graph.nodes}.union(*map(_used_domains, bodies))


def _uninferable_results(graph: Graph) -> list[Value]:
    """The results whose shapes ONNX cannot infer: of operators of other domains, with data-dependent sizes, and of a
    Reshape to symbolic sizes of the inputs.

    onnxruntime reuses buffers only if it knows that their symbolic sizes are equal.
    """
    standard_domains = {"", *DOMAIN_VERSIONS}
    input_symbols = {symbol for value in graph.inputs.values() for symbol in _size_symbols(value)}

    def is_untyped(node: Node, output: Value) -> bool:
        if node.domain not in standard_domains:
            return True
        if output.type.is_static():
            return False
        symbols = _size_symbols(output)
        is_reshaped = node.op == "Reshape" and symbols <= input_symbols
        return is_reshaped or any(symbol.startswith(DATA_DEPENDENT) for symbol in symbols)

    return [output for node in graph.nodes for output in node.outputs if is_untyped(node, output)]


def _size_symbols(value: Value) -> set[str]:
    """The symbols in the sizes of a value."""
    return {symbol for size in value.shape if isinstance(size, Size) for symbol, _ in size.terms}


def _name_outputs(graph: Graph, results: Mapping[str, Value], names: ValueNames):  # type: ignore[no-untyped-def]
    """Names the results. Returns a function that creates the Identity nodes of results that need one: results that are
    not an output of a node, or that have a name already."""
    produced = {output for node in graph.nodes for output in node.outputs}
    copies: list[tuple[str, Value]] = []
    for result, value in results.items():
        if value in produced and value not in names.by_value:
            names.assign(value, result)
        else:
            copies.append((names.unique(result), value))
    return lambda names: [
        helper.make_node("Identity", [names.by_value[value]], [result], name=f"/{result}/Identity")
        for result, value in copies
    ]


def _initializers(graph: Graph, results, names: ValueNames):  # type: ignore[no-untyped-def]
    """The initializers and their arrays. Equal constants without a name share one."""
    unnamed = _UnnamedConstants()
    protos, arrays = [], []
    for value, scope in _value_uses(graph, results):
        if not isinstance(value, Constant) or value in names.by_value:
            continue
        if not value.name:
            equal = unnamed.find_or_add(value)
            if equal is not value:
                names.by_value[value] = names.by_value[equal]
                continue
        names.by_value[value] = names.unique(value.name or f"/{scope}/Constant")
        proto, array = split_tensor(value.array, value.dtype, names.by_value[value])
        protos.append(proto)
        arrays.append(array)
    return protos, arrays


class _UnnamedConstants:
    """The first of each group of equal constants."""

    def __init__(self) -> None:
        self._by_key: dict[Any, list[Constant]] = {}

    def find_or_add(self, value: Constant) -> Constant:
        """The first constant that is equal; the constant itself if there is none."""
        known = self._by_key.setdefault(_constant_key(value), [])
        equal = next((other for other in known if _is_equal(value.array, other.array)), value)
        if equal is value:
            known.append(value)
        return equal


def _constant_key(value: Constant) -> tuple[Any, ...]:
    """A key that is the same for equal constants, and that seldom is for others."""
    shape, dtype = value.array.shape, value.dtype
    if dtype == "string":
        return dtype, shape, repr(value.array.tolist())
    is_small = value.array.nbytes <= MAX_HASHED_BYTES
    sample = value.array if is_small else value.array[tuple(slice(None, None, -(-size // 4)) for size in shape)]
    return dtype, shape, sample.tobytes()


def _is_equal(array: np.ndarray, other: np.ndarray) -> bool:
    """Whether constants with the same key have the same bytes."""
    if array is other or array.dtype.hasobject or array.nbytes <= MAX_HASHED_BYTES:
        return True
    bits = np.dtype(f"u{array.dtype.itemsize}")
    return np.array_equal(array.view(bits), other.view(bits))


def _value_uses(graph: Graph, results) -> Iterator[tuple[Value, str]]:  # type: ignore[no-untyped-def]
    for node in graph.nodes:
        yield from ((value, node.scope) for value in node.inputs if value is not None)
        for body in _subgraphs(node):
            yield from _value_uses(body, body.outputs.values())
    yield from ((value, "outputs") for value in results)


def _add_nodes(proto: onnx.GraphProto, graph: Graph, names: ValueNames) -> None:
    """Adds the nodes of a graph, and names their outputs."""
    for node in graph.nodes:
        name = names.unique(f"/{node.scope}/{node.op}" if node.scope else f"/{node.op}")
        for index, output in enumerate(node.outputs):
            if output not in names.by_value:
                names.assign(output, f"{name}_output_{index}")
        _add_node(proto, node, name, names)


def _add_node(graph_proto: onnx.GraphProto, node: Node, name: str, names: ValueNames) -> None:
    inputs = ["" if value is None else names.by_value[value] for value in node.inputs]
    outputs = [names.by_value[value] for value in node.outputs]
    proto = graph_proto.node.add(output=outputs, name=name, op_type=node.op)
    if node.domain:
        proto.domain = node.domain
    if node.attributes:
        attributes = dict(node.attributes)
        for body in _subgraphs(node):
            inputs = inputs[: body.num_loop_inputs or 1]  # an If has only its condition as an input
            attributes |= {
                key: _subgraph_proto(body, node, name, names) for key, value in attributes.items() if value is body
            }
        known = [(key, value) for key, value in sorted(attributes.items()) if value is not None]
        proto.attribute.extend(helper.make_attribute(key, value) for key, value in known)
    proto.input.extend(inputs)
    for key, text in node_metadata(node).items():
        proto.metadata_props.add(key=key, value=text)


def _subgraphs(node: Node) -> list[Subgraph]:
    return [] if not node.attributes else [value for value in node.attributes.values() if isinstance(value, Subgraph)]


def _subgraph_proto(body: Subgraph, node: Node, name: str, names: ValueNames) -> onnx.GraphProto:
    """The body of a node. Captured values keep their outer names, which are visible inside."""
    for index, (inner, outer) in enumerate(zip(body.inputs.values(), node.inputs, strict=True)):
        if index < body.num_loop_inputs:
            names.assign(inner, f"{name}/{inner.name}")
        elif outer is not None:
            names.by_value[inner] = names.by_value[outer]
    nodes = onnx.GraphProto()
    _add_nodes(nodes, body, names)
    results = {names.unique(f"{name}/{result}"): value for result, value in body.outputs.items()}
    identities = [helper.make_node("Identity", [names.by_value[value]], [result]) for result, value in results.items()]
    return helper.make_graph(
        [*nodes.node, *identities],
        f"{name}/body",
        [_value_info(names.by_value[x], x.type) for x in list(body.inputs.values())[: body.num_loop_inputs]],
        [_value_info(result, value.type) for result, value in results.items()],
    )


def _value_info(name: str, type: TensorType) -> onnx.ValueInfoProto:
    sizes = [size if isinstance(size, int) else None if is_unknown_size(size) else str(size) for size in type.shape]
    return helper.make_tensor_value_info(name, onnx_dtype(type.dtype), sizes)
