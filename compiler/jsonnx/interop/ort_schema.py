"""The tables of onnxruntime's ORT format, a FlatBuffers schema.

From https://github.com/microsoft/onnxruntime/blob/main/onnxruntime/core/flatbuffers/schema/ort.fbs.
"""

from __future__ import annotations

from .flatbuffers import Schema

ROOT = "InferenceSession"

SCHEMA: Schema = {
    "InferenceSession": {
        "ort_version": "string",
        "model": "Model",
        "session_state": None,
        "kernel_type_str_resolver": "KernelTypeStrResolver",
    },
    "Model": {
        "ir_version": "int64",
        "opset_import": "[OperatorSetId]",
        "producer_name": "string",
        "producer_version": "string",
        "domain": "string",
        "model_version": "int64",
        "doc_string": "string",
        "graph": "Graph",
        "graph_doc_string": "string",
        "metadata_props": "[StringStringEntry]",
    },
    "OperatorSetId": {"domain": "string", "version": "int64"},
    "StringStringEntry": {"key": "string", "value": "string"},
    "Graph": {
        "initializers": "[Tensor]",
        "node_args": "[ValueInfo]",
        "nodes": "[Node]",
        "max_node_index": "uint32",
        "node_edges": "[NodeEdge]",
        "inputs": "[string]",
        "outputs": "[string]",
        "sparse_initializers": "[SparseTensor]",
        "runtime_optimizations": "RuntimeOptimizations",
    },
    "Tensor": {
        "name": "string",
        "doc_string": "string",
        "dims": "[int64]",
        "data_type": "int32",
        "raw_data": "bytes",
        "string_data": "[string]",
        "external_data_offset": "int64",
    },
    "SparseTensor": {"values": "Tensor", "indices": "Tensor", "dims": "[int64]"},
    "ValueInfo": {"name": "string", "doc_string": "string", "type": "TypeInfo"},
    "TypeInfo": {"denotation": "string", "value_type": "uint8", "value": "value_type"},
    "TensorTypeAndShape": {"elem_type": "int32", "shape": "Shape"},
    "SequenceType": {"elem_type": "TypeInfo"},
    "MapType": {"key_type": "int32", "value_type": "TypeInfo"},
    "Shape": {"dim": "[Dimension]"},
    "Dimension": {"value": "DimensionValue", "denotation": "string"},
    "DimensionValue": {"dim_type": "int8", "dim_value": "int64", "dim_param": "string"},
    "Node": {
        "name": "string",
        "doc_string": "string",
        "domain": "string",
        "since_version": "int32",
        "index": "uint32",
        "op_type": "string",
        "type": "int32",
        "execution_provider_type": "string",
        "inputs": "[string]",
        "outputs": "[string]",
        "attributes": "[Attribute]",
        "input_arg_counts": "[int32]",
        "implicit_inputs": "[string]",
    },
    "Attribute": {
        "name": "string",
        "doc_string": "string",
        "type": "int32",
        "f": "float32",
        "i": "int64",
        "s": "string",
        "t": "Tensor",
        "g": "Graph",
        "floats": "[float32]",
        "ints": "[int64]",
        "strings": "[string]",
        "tensors": "[Tensor]",
        "graphs": "[Graph]",
    },
    "NodeEdge": {"node_index": "uint32", "input_edges": "[EdgeEnd]", "output_edges": "[EdgeEnd]"},
    "RuntimeOptimizations": {"records": "[RuntimeOptimizationRecordContainerEntry]"},
    "RuntimeOptimizationRecordContainerEntry": {
        "optimizer_name": "string",
        "runtime_optimization_records": "[RuntimeOptimizationRecord]",
    },
    "RuntimeOptimizationRecord": {
        "action_id": "string",
        "nodes_to_optimize_indices": "NodesToOptimizeIndices",
        "produced_nodes": None,
        "produced_op_ids": "[string]",
    },
    "NodesToOptimizeIndices": {
        "node_indices": "[uint32]",
        "num_inputs": "uint32",
        "num_outputs": "uint32",
        "has_variadic_input": "uint8",
        "has_variadic_output": "uint8",
        "num_variadic_inputs": "uint32",
        "num_variadic_outputs": "uint32",
    },
    "KernelTypeStrResolver": {"op_kernel_type_str_args": "[OpIdKernelTypeStrArgsEntry]"},
    "OpIdKernelTypeStrArgsEntry": {"op_id": "string", "kernel_type_str_args": "[KernelTypeStrArgsEntry]"},
    "KernelTypeStrArgsEntry": {"kernel_type_str": "string", "args": "[ArgTypeAndIndex]"},
    "ArgTypeAndIndex": {"arg_type": "int8", "index": "uint32"},
}
"""The fields of each table in the order of their slots; None is a deprecated one."""
