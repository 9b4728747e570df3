"""Every node of the layer cases' models and training steps has a kernel of CUDA, with few exceptions."""

from __future__ import annotations

import re

import pytest
from graph_hashes.layer_cases import layer_spec
from jsonnx.backend import to_model_proto
from jsonnx.passes.gelu_as_erf import write_gelu_as_erf
from jsonnx.pipeline.check import check_spec
from jsonnx.pipeline.graphs import inference_graph
from jsonnx.pipeline.plan_training import plan_training
from jsonnx.targets import MissingKernel, kernel_table, place_nodes
from layers.cases import Case, all_cases

EXCEPTIONS = {
    r"of string|of int64": "texts and whole numbers are not computed on a GPU",
    r"String\w+|ai.onnx.ml.LabelEncoder|com.microsoft.Tokenizer": "texts are not computed on a GPU",
    r"Equal of opset 19": "an Equal of texts needs opset 19",
    r"(ConstantOfShape|Pad|ReduceMax) of opset \d+": "a ReduceMax of booleans and a Gelu by Tanh need opset 20",
    r"Asin|Acos|A?[Tt]an|A?[Ss]inh|A?[Cc]osh|Atanh|Mish": "CUDA has no kernel in any opset",
}
"""What CUDA has no kernel for, as a pattern of the operator, and why that is accepted."""


def unexpected(case: Case) -> list[MissingKernel]:
    """The nodes of a case without a kernel that are no exception."""
    checked = check_spec(layer_spec(case, behind=True))
    if any(diagnostic.severity == "error" for diagnostic in checked.diagnostics):
        checked = check_spec(layer_spec(case))
    graphs = [write_gelu_as_erf(inference_graph(checked))]
    if checked.objective is not None:
        graphs.append(write_gelu_as_erf(plan_training(checked).train))
    missing = [node for graph in graphs for node in place_nodes(to_model_proto(graph), kernel_table("cuda")).missing]
    patterns = [rf"no kernel for (\S+ )?({pattern})" for pattern in EXCEPTIONS]
    return [node for node in missing if not any(re.fullmatch(pattern, node.reason) for pattern in patterns)]


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.id)
def test_nodes_have_kernels(case: Case) -> None:
    assert unexpected(case) == []
