"""Reads models in onnxruntime's ORT format without onnxruntime, and puts their parts in a fixed order."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from ..core.files.file_kinds import ORT_FORMAT_IDENTIFIER
from .flatbuffers import Table, UnknownField, read_flatbuffer, write_flatbuffer
from .onnx_reader import DTYPES, OnnxFile, OnnxTensor, OnnxType, require_rank, require_tensor_data
from .ort_schema import ROOT, SCHEMA
from .protobuf_reader import DecodeError

SORT_KEYS = {"initializers": "name", "node_args": "name", "metadata_props": "key", "opset_import": "domain"}
"""The vectors in which onnxruntime writes hash tables, in another order each time, with the fields that sort them."""
_OTHER_KINDS = {2: "sequence", 3: "map"}


def is_ort_format(data: bytes) -> bool:
    """Whether a model is in ORT format, by its first eight bytes."""
    return data[4:8] == ORT_FORMAT_IDENTIFIER


def in_fixed_order(data: bytes, without_metadata: Collection[str] = ()) -> bytes:
    """A model in ORT format whose parts are sorted by name, without some keys of its metadata.

    One with fields of a later onnxruntime is returned as it is. Raises DecodeError.
    """
    try:
        root = read_flatbuffer(data, SCHEMA, ROOT)
    except UnknownField:
        return data
    model = root.get("model", {})
    metadata = [entry for entry in model.get("metadata_props", []) if entry.get("key") not in without_metadata]
    if "metadata_props" in model:
        model["metadata_props"] = metadata
    _sort(root)
    return write_flatbuffer(root, SCHEMA, ROOT, ORT_FORMAT_IDENTIFIER)


def _sort(value: Any) -> None:
    for field, part in value.items() if isinstance(value, dict) else ():
        if field in SORT_KEYS:
            key = SORT_KEYS[field]
            part.sort(key=lambda entry, key=key: entry.get(key, ""))
        _sort(part)
    for part in value if isinstance(value, list) else ():
        _sort(part)


def read_ort_format(data: bytes) -> OnnxFile:
    """The signature, the metadata and the operators of a model in ORT format. Raises DecodeError.

    The file imports the operator sets of all domains; those without a node are left out.
    """
    root = read_flatbuffer(data, SCHEMA, ROOT)
    model = root.get("model", {})
    if "graph" not in model:
        raise DecodeError("it has no graph")
    file = OnnxFile(
        len(data),
        model.get("ir_version", 0),
        model.get("producer_name", ""),
        model.get("producer_version", ""),
        {entry.get("domain", ""): entry.get("version", 0) for entry in model.get("opset_import", [])},
        {entry.get("key", ""): entry.get("value", "") for entry in model.get("metadata_props", [])},
        ort_format=root.get("ort_version", ""),
    )
    graph = model["graph"]
    _read_graph(graph, file)
    used = {op.rpartition(":")[0] for op in file.operator_counts}
    file.opsets = {domain: version for domain, version in file.opsets.items() if domain in used or not domain}
    types = {entry.get("name", ""): _type(entry.get("type", {})) for entry in graph.get("node_args", [])}
    weights = {tensor.name for tensor in file.initializers}
    unknown = OnnxType("unknown", None)
    file.inputs = {name: types.get(name, unknown) for name in graph.get("inputs", []) if name not in weights}
    file.outputs = {name: types.get(name, unknown) for name in graph.get("outputs", [])}
    return file


def _read_graph(graph: Table, file: OnnxFile) -> None:
    """Adds the weights and the operators of a graph and of its subgraphs."""
    file.initializers += [_tensor(entry) for entry in graph.get("initializers", [])]
    for node in graph.get("nodes", []):
        domain, op = node.get("domain", ""), node.get("op_type", "")
        file.operator_counts[f"{domain}:{op}" if domain else op] += 1
        for attribute in node.get("attributes", []):
            for subgraph in (*filter(None, [attribute.get("g")]), *attribute.get("graphs", [])):
                _read_graph(subgraph, file)


def _tensor(entry: Table) -> OnnxTensor:
    shape = entry.get("dims", [])
    require_rank(len(shape))
    tensor = OnnxTensor(entry.get("name", ""), DTYPES.get(entry.get("data_type", 0), ""), tuple(shape), None)
    raw_bytes = len(entry["raw_data"]) if "raw_data" in entry else None
    require_tensor_data(tensor, raw_bytes, bool(entry.get("string_data")), {})
    return tensor


def _type(entry: Table) -> OnnxType:
    kind, value = entry.get("value_type", 0), entry.get("value", {})
    if kind != 1:
        return OnnxType(_OTHER_KINDS.get(kind, "unknown"), None)
    shape = value["shape"].get("dim", []) if "shape" in value else None
    return OnnxType(DTYPES.get(value.get("elem_type", 0), "unknown"), None if shape is None else tuple(_sizes(shape)))


def _sizes(shape: Iterable[Table]) -> Iterable[int | str | None]:
    for dimension in shape:
        size = dimension.get("value", {})
        kind = size.get("dim_type", 0)
        yield size.get("dim_value", 0) if kind == 1 else size.get("dim_param") or None
