"""Every node of models and training steps in the form of a target has a kernel there, with few exceptions."""

from __future__ import annotations

import re
from typing import Any

import pytest
from campaigns.graph_hashes.cases import ROOT, training_entries
from campaigns.graph_hashes.layer_cases import layer_spec
from jsonnx.core.diagnostics import CompileError
from jsonnx.pipeline.run.place_nodes import place_by_table, subjects_of
from jsonnx.placement import MissingKernel, kernel_table
from unit.layers.cases import Case, all_cases

INTEGERS = "integers of the user's data are computed as they are"
LOOKUP = "vocabularies are looked up on the CPU"
EXCEPTIONS: dict[str, dict[str, str]] = {
    "cuda": {
        r"ai.onnx.ml.LabelEncoder": LOOKUP,
        r"(MatMul|Pad|ReduceProd) of int64": INTEGERS,
    },
    "webgpu": {
        r"ai.onnx.ml.LabelEncoder": LOOKUP,
        r"\S+ of int64": "WebGPU has no int64: outputs, indices of ScatterND and of lookups are converted",
        r"\S+ of (u?int8|int32)|Mod|Pow|Trilu": INTEGERS,
        r"Identity": "onnxruntime copies outputs that are also other outputs",
        r"LSTM|GRU|RNN|Scan": "training writes them out where sequences are short; models for predictions keep them",
        r"TopK|ScatterElements": "WebGPU has no kernel that sorts, or that writes single elements",
        r"IsNaN|IsInf": "WGSL does not define comparisons of NaN and infinity",
    },
}
"""By target: what has no kernel, as a pattern of the operator, and why that is accepted."""
OBJECTIVE_EXCEPTIONS = {
    "webgpu": {
        r"ScatterElements|Cast of int64": "metrics with many thresholds count by scattering into a small vector",
        r"\S+ of float64": "R2Score adds in float64, since it subtracts large sums",
        r"Scan|Identity|Slice of int32|CumSum of int64": "the loss CTC is a loop over time",
        r"TopK|EyeLike": "WebGPU has no kernel that sorts or makes a diagonal",
    },
}
"""The same for losses and metrics."""
CASES = [case for case in all_cases() if case.dtype != "string"]
"""The layers that do not compute with texts, which are on the CPU with what is computed from them alone."""
SAMPLES = ("mnist_mlp", "mnist_cnn", "diabetes", "digits_residual", "digits_contrastive", "digits_transfer")


def missing_nodes(spec: dict[str, Any] | str, target: str) -> list[MissingKernel]:
    """The nodes of a spec's model and training step without a kernel."""
    subjects, paths = subjects_of(spec)
    found = place_by_table(subjects, kernel_table(target), paths)
    return [node for model in found.models for node in model.placement.missing]


def missing_nodes_of_layer(case: Case, target: str) -> list[MissingKernel]:
    """The nodes of a layer's model and training step, the gradient of its inputs included if a layer may be before
    it."""
    try:
        return missing_nodes(layer_spec(case, behind=True), target)
    except CompileError:
        return missing_nodes(layer_spec(case), target)


@pytest.mark.costly(62)
@pytest.mark.parametrize("target", EXCEPTIONS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_layers_have_kernels(case: Case, target: str) -> None:
    patterns = [rf"no kernel for ({pattern})" for pattern in EXCEPTIONS[target]]
    missing = missing_nodes_of_layer(case, target)
    assert [node for node in missing if not any(re.fullmatch(pattern, node.reason) for pattern in patterns)] == []


@pytest.mark.costly(11)
@pytest.mark.parametrize("target", EXCEPTIONS)
@pytest.mark.parametrize("entry", training_entries(), ids=lambda entry: entry.id)
def test_losses_metrics_and_optimizers_have_kernels(entry: Any, target: str) -> None:
    patterns = [rf"no kernel for ({pattern})" for pattern in OBJECTIVE_EXCEPTIONS.get(target, {})]
    missing = missing_nodes(entry.spec, target)
    assert [node for node in missing if not any(re.fullmatch(pattern, node.reason) for pattern in patterns)] == []


@pytest.mark.parametrize("target", EXCEPTIONS)
@pytest.mark.parametrize("name", SAMPLES)
def test_samples_have_kernels(name: str, target: str) -> None:
    missing = missing_nodes(str(ROOT / "samples" / f"{name}.json"), target)
    assert [node for node in missing if node.op != "Identity"] == []
