"""Codes of gates in continuous integration: budgets, comparisons with a revision, floors of figures."""

from __future__ import annotations

from .explanation import Explanation

GATE_EXPLANATIONS: dict[str, Explanation] = {
    "over-budget": Explanation(
        "The network or its model costs more than its budget",
        "The section `budget` of the spec, or an option such as `--max-parameters`, limits parameters, multiply-adds, "
        "the memory of the layers' values, the bytes of the model and its opset. The notes name the layers with the "
        "largest shares. Make these smaller, or raise the limit where the cost is meant.",
        '{"layers": [{"type": "Dense", "units": 4096}], "budget": {"parameters": "100k"}}   # of 784 inputs',
        '{"layers": [{"type": "Dense", "units": 100}], "budget": {"parameters": "100k"}}',
    ),
    "unknown-cost": Explanation(
        "A limit of the budget depends on sizes that vary",
        "An input with a symbolic size, such as the length of a text, has no fixed cost. The budget gives the sizes "
        "for which its limits are meant.",
        '{"inputs": {"text": {"shape": ["length", 8]}}, "budget": {"multiply_adds": "1M"}}',
        '{"inputs": {"text": {"shape": ["length", 8]}}, "budget": {"multiply_adds": "1M", "sizes": {"length": 128}}}',
    ),
    "missing-kernel": Explanation(
        "An execution provider has no kernel for an operator of the model",
        "The budget names the provider among its `targets`, or `--target` does. onnxruntime would run the operator on "
        "the CPU, and copy its inputs and outputs between the devices. `jsonnx providers SPEC --provider NAME` lists "
        "all such operators. Use another layer, or remove the target from the budget.",
        '{"layers": [{"type": "LSTM", "units": 8}], "budget": {"targets": ["webgpu"]}}',
        '{"layers": [{"type": "Conv1D", "filters": 8, "kernel_size": 3}], "budget": {"targets": ["webgpu"]}}',
    ),
}
