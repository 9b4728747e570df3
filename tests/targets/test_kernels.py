"""Every node of models and training steps in the form of a target has a kernel there, with few exceptions."""

from __future__ import annotations

import re
from typing import Any

import pytest
from graph_hashes.cases import ROOT, training_entries
from graph_hashes.layer_cases import is_augmentation, layer_spec
from jsonnx.pipeline.place_nodes import placements, tables_of
from jsonnx.targets import MissingKernel
from layers.cases import Case, all_cases

INTEGERS = "integers of the user's data are computed as they are"
TEXTS = "texts are on the CPU, and what is computed from them alone"
EXCEPTIONS: dict[str, dict[str, str]] = {
    "cuda": {
        r"\S+ of string|String\w+|ai.onnx.ml.LabelEncoder|com.microsoft.Tokenizer": TEXTS,
        r"(Equal|ReduceMax) of opset \d+": "a model with texts needs opset 20",
        r"(MatMul|Pad|ReduceProd) of int64": INTEGERS,
    },
    "webgpu": {
        r"\S+ of string|String\w+|ai.onnx.ml.LabelEncoder|com.microsoft.Tokenizer|Scan": TEXTS,
        r"\S+ of int64": "WebGPU has no int64: outputs, indices of ScatterND and of texts are converted",
        r"\S+ of (u?int8|int32)|Mod|Pow|Trilu": INTEGERS,
        r"Identity": "onnxruntime copies outputs that are also other outputs",
        r"LSTM|GRU|RNN": "training writes them by simpler operators; a model for predictions keeps the operator",
        r"TopK|ScatterElements": "WebGPU has no kernel that sorts, or that writes single elements",
        r"IsNaN|IsInf": "WGSL does not define comparisons of NaN and infinity",
    },
}
"""By target: what has no kernel, as a pattern of the operator, and why that is accepted."""
SAMPLES = ("mnist_mlp", "mnist_cnn", "diabetes", "digits_residual", "digits_contrastive", "digits_transfer")


def missing_nodes(spec: dict[str, Any] | str, target: str) -> list[MissingKernel]:
    """The nodes of a spec's model and training step without a kernel."""
    (by_title,) = placements(spec, tables_of(target))
    return [node for placement in by_title.values() for node in placement.missing]


def unexpected(spec: dict[str, Any], target: str) -> list[MissingKernel]:
    """The nodes of a spec without a kernel that are no exception."""
    patterns = [rf"no kernel for ({pattern})" for pattern in EXCEPTIONS[target]]
    missing = missing_nodes(spec, target)
    return [node for node in missing if not any(re.fullmatch(pattern, node.reason) for pattern in patterns)]


@pytest.mark.parametrize("target", EXCEPTIONS)
@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.id)
def test_layers_have_kernels(case: Case, target: str) -> None:
    assert unexpected(layer_spec(case, behind=not is_augmentation(case)), target) == []


@pytest.mark.parametrize("target", EXCEPTIONS)
@pytest.mark.parametrize("entry", training_entries(), ids=lambda entry: entry.id)
def test_losses_metrics_and_optimizers_have_kernels(entry: Any, target: str) -> None:
    assert missing_nodes(entry.spec, target) == []


@pytest.mark.parametrize("target", EXCEPTIONS)
@pytest.mark.parametrize("name", SAMPLES)
def test_samples_have_kernels(name: str, target: str) -> None:
    missing = missing_nodes(str(ROOT / "samples" / f"{name}.json"), target)
    assert [node for node in missing if node.op != "Identity"] == []
