"""Networks that exceed the limits of a model are refused by a check, without lowering those that cannot exceed them."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import pytest
from jsonnx.analysis.shape_inference import TypedNetwork
from jsonnx.core import limits
from jsonnx.core.diagnostics import CompileError
from jsonnx.core.system import memory
from jsonnx.lowering import lower as lower_module
from jsonnx.lowering import size_limit
from jsonnx.lowering.lower import lower
from jsonnx.lowering.size_limit import may_be_too_large, operator_bound, weight_bound
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.compile.compile import compile_checked
from jsonnx.pipeline.train.trainer import Trainer
from jsonnx.pipeline.validate.validate import validate
from unit.layers.cases import Case, all_cases

ROOT = Path(__file__).parents[3]


def dense(*units: int) -> dict[str, Any]:
    layers = [{"type": "Dense", "name": name, "units": size} for name, size in zip("abc", units, strict=False)]
    return {"inputs": {"x": {"shape": [4]}}, "layers": layers}


def typed_case(case: Case) -> TypedNetwork:
    inputs = {f"x{index}": {"shape": list(shape), "dtype": case.dtype} for index, shape in enumerate(case.inputs)}
    layer = {**case.layer, **({"from": list(inputs)} if len(inputs) > 1 else {})}
    return check_spec({"inputs": inputs, "layers": [layer]}).typed_network or TypedNetwork(None, {})  # type: ignore[arg-type]


def test_the_layer_with_which_the_weights_exceed_the_limit_is_named() -> None:
    (diagnostic,) = validate(dense(1 << 19, 1 << 18, 1 << 19))
    assert (diagnostic.code, diagnostic.path) == ("too-large", "$.layers[2]")
    assert diagnostic.message.startswith("with 'c' the weights take 1.1 TB, the limit is 1.1 TB")


def test_weights_within_the_limit_are_not_reported_whatever_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 0)
    assert validate(dense(1 << 19, 1 << 18)) == []


def test_weights_beyond_the_memory_are_refused_where_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 3 * 10**9)
    with pytest.raises(CompileError, match=r"needs 549.8 GB of memory \(weights 549.8 GB\), and this machine has"):
        compile_checked(check_spec(dense(1 << 19, 1 << 18)))
    training = {"loss": "mse", "optimizer": "adam"}
    with pytest.raises(CompileError, match=r"the training needs .* \(weights 549.8 GB, optimizer slots 1.1 TB\)"):
        Trainer({**dense(1 << 19, 1 << 18), "training": training})


@pytest.mark.costly(6)
@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.id)
def test_no_layer_has_more_weights_than_estimated(case: Case) -> None:
    typed = typed_case(case)
    if typed.network is None or any(call.layer is None for call in typed.network.calls):
        pytest.skip("the case has inputs of several types")
    graph = lower(typed)
    weights = [*graph.parameters.values(), *graph.states.values()]
    (call,) = typed.network.calls
    assert sum(prod(weight.shape) for weight in weights if weight.type.is_static()) <= weight_bound(typed, call)


@pytest.mark.costly(6)
@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.id)
def test_no_layer_has_more_operators_than_estimated(case: Case) -> None:
    typed = typed_case(case)
    if typed.network is None or any(call.layer is None for call in typed.network.calls):
        pytest.skip("the case has inputs of several types")
    (call,) = typed.network.calls
    assert len(lower(typed).nodes) <= operator_bound(typed, call)


COPIES = {"type": "TimeDistributed", "layer": {"type": "ops.flip", "axis": 0}}
OPERATOR_HEAVY_LAYERS = {
    "differences": ([30_000], [{"type": "ops.diff", "n": 1_000}] * 20),
    "patches": ([250, 250, 1], [{"type": "ops.image.extract_patches", "size": 240}]),
    "copies": ([1_000, 2, 2], [COPIES] * 20),
    "recurrent": ([8, 4], [{"type": "GRU", "units": 4, "activation": "softplus", "return_sequences": True}] * 900),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATOR_HEAVY_LAYERS)
def test_few_layers_with_too_many_operators_are_reported(name: str) -> None:
    shape, layers = OPERATOR_HEAVY_LAYERS[name]
    diagnostics = validate({"inputs": {"x": {"shape": shape}}, "layers": layers})
    assert [diagnostic.code for diagnostic in diagnostics if diagnostic.severity == "error"] == ["too-large"]


@pytest.mark.parametrize("path", sorted((ROOT / "samples").glob("*.json")), ids=lambda path: path.stem)
def test_samples_are_checked_without_lowering(path: Path) -> None:
    typed = check_spec(path).typed_network
    assert typed is None or not may_be_too_large(typed), {c.name: weight_bound(typed, c) for c in typed.network.calls}


def test_a_graph_that_the_check_lowered_is_compiled_to_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ROOT / "samples/digits_residual.json"
    expected = compile_checked(check_spec(spec)).to_bytes()
    monkeypatch.setattr(size_limit, "MAX_OPERATORS", 0)
    checked = check_spec(spec)
    assert checked.lowered is not None
    assert [compile_checked(checked).to_bytes() for _ in range(2)] == [expected] * 2


def test_operators_are_counted_while_they_are_emitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lower_module, "MAX_OPERATORS", 3)
    with pytest.raises(lower_module.LoweringError, match="b: needs more than") as caught:
        lower(check_spec(dense(2, 2)).require())
    assert caught.value.error.code == "too-large"


def test_constants_are_counted_while_they_are_emitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lower_module, "MAX_CONSTANTS_BYTES", 100)
    layers = [{"type": "ops.one_hot", "num_classes": 10}, {"type": "ops.one_hot", "num_classes": 10}]
    layers[1]["from"] = "x"
    spec = {"inputs": {"x": {"shape": [], "dtype": "int32"}}, "layers": layers, "outputs": ["one_hot", "one_hot_1"]}
    with pytest.raises(lower_module.LoweringError, match="one_hot_1: needs more than"):
        lower(check_spec(spec).require())


def test_every_limit_has_a_unit_and_a_meaning() -> None:
    for name, limit in limits.LIMITS.items():
        assert (limit > 0, bool(limit.unit), limit.meaning[-1:]) == (True, True, "."), name
