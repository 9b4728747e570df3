"""Graphs in the form of a target compute what the plain graphs compute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import onnx
import pytest
from jsonnx.core.providers.known_providers import providers_with_kernel_table
from jsonnx.core.reserved_names import STEP_COUNT
from jsonnx.data.samples.data_errors import FeedError
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.compile.target_forms import plan_for_target
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.runtime.fit.trainer import PlanTrainer
from support import commands
from support.training_steps import assert_same_steps, run_steps
from unit.training import cases

TARGETS = [record.name for record in providers_with_kernel_table()]
MAX_INT32 = 2**31 - 1
CLASSIFIER: dict[str, Any] = {
    "inputs": {"x": {"shape": [6]}},
    "layers": [{"type": "Dense", "units": 8, "activation": "softplus"}, {"type": "Dense", "units": 3}],
    "training": {
        "loss": {"type": "SparseCategoricalCrossentropy", "from_logits": True},
        "optimizer": "adam",
        "metrics": ["accuracy"],
    },
}
WORDS: dict[str, Any] = {
    "inputs": {"x": {"shape": [5], "dtype": "int64"}},
    "layers": [
        {"type": "Embedding", "input_dim": 9, "output_dim": 4},
        {"type": "GlobalAveragePooling1D"},
        {"type": "Dense", "units": 3},
    ],
    "training": {"loss": "mse", "optimizer": "nadam"},
}


def classified() -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [(rng.normal(size=(4, 6)).astype(np.float32), rng.integers(0, 3, 4)) for _ in range(5)]


PATTERNS = ("exclude_from_weight_decay", "optimizer_map")
OPTIMIZERS = [optimizer for optimizer in cases.OPTIMIZERS if not any(key in str(optimizer) for key in PATTERNS)]
"""The optimizers of the cases but for those with patterns, which name other weights."""


@pytest.mark.costly(10)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=map(cases.name, OPTIMIZERS))
def test_optimizers_compute_the_same(optimizer: Any, target: str) -> None:
    spec = {**CLASSIFIER, "training": {**CLASSIFIER["training"], "optimizer": optimizer}}
    plan = plan_training(check_spec(spec))
    written = plan_for_target(plan, target)
    narrow = written.targets["dense_1"].dtype
    batches = [(x, y.astype(narrow)) for x, y in classified()]
    expected = run_steps(plan.train, plan, classified())
    assert_same_steps(run_steps(written.train, written, batches), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("target", TARGETS)
def test_an_embedding_learns_the_same(target: str) -> None:
    plan = plan_training(check_spec(WORDS))
    written = plan_for_target(plan, target)
    rng = np.random.default_rng(0)
    batches = [(rng.integers(0, 9, (4, 5)), rng.normal(size=(4, 3)).astype(np.float32)) for _ in range(4)]
    narrow = [(x.astype(written.inputs["x"].dtype), y) for x, y in batches]
    expected = run_steps(plan.train, plan, batches)
    assert_same_steps(run_steps(written.train, written, narrow), expected, rtol=1e-5, atol=1e-6)


def test_integers_are_int32_on_webgpu_only() -> None:
    plan = plan_training(check_spec(WORDS))
    dtypes = {target: plan_for_target(plan, target).inputs["x"].dtype for target in TARGETS}
    assert {target for target, dtype in dtypes.items() if dtype == "int32"} == {"webgpu"}


def test_data_that_do_not_fit_int32_are_refused() -> None:
    layers = [{"type": "ops.cast", "dtype": "float32"}, {"type": "Dense", "units": 3}]
    plan = plan_training(check_spec({**WORDS, "layers": layers}))
    trainer = PlanTrainer(plan_for_target(plan, "webgpu"), "cpu")
    with pytest.raises(FeedError, match="int32"):
        trainer.step(np.full((1, 5), MAX_INT32 + 1), np.zeros((1, 3), np.float32))


@pytest.mark.parametrize("targets", [("cpu", "webgpu"), ("webgpu", "cpu")], ids="-".join)
def test_a_run_resumes_on_another_target(targets: tuple[str, str], tmp_path: Path) -> None:
    plan = plan_training(check_spec(CLASSIFIER))
    before, after = (PlanTrainer(plan_for_target(plan, target), "cpu") for target in targets)
    uninterrupted = PlanTrainer(plan, "cpu")
    *first, last = classified()
    for batch in first:
        before.step(*batch)
        uninterrupted.step(*batch)
    before.save_checkpoint(tmp_path / "checkpoint")
    after.load_checkpoint(tmp_path / "checkpoint")
    assert after.engine.state_dict()[STEP_COUNT] == len(first)
    np.testing.assert_allclose(after.step(*last)["loss"], uninterrupted.step(*last)["loss"], rtol=1e-6)
    assert after.engine.state_dict()[STEP_COUNT].dtype == ("int32" if targets[1] == "webgpu" else "int64")


# -- the command line --------------------------------------------------------------------------------------------------


def compiled(spec: dict[str, Any], folder: Path, *options: str) -> dict[str, bytes]:
    """The files that `compile` writes."""
    (folder / "spec.json").write_text(json.dumps(spec))
    out = folder / "-".join(["out", *options])
    commands.jsonnx("compile", str(folder / "spec.json"), "-o", str(out), *options)
    return {file.name: file.read_bytes() for file in sorted(out.iterdir())}


def test_the_plain_form_is_that_of_the_cpu(tmp_path: Path) -> None:
    assert compiled(CLASSIFIER, tmp_path, "--training") == compiled(CLASSIFIER, tmp_path, "--training", "--for", "cpu")


def test_a_training_step_for_webgpu(tmp_path: Path) -> None:
    files = compiled(CLASSIFIER, tmp_path, "--training", "--for", "webgpu")
    manifest = json.loads(files["manifest.json"])
    assert manifest["target"] == "webgpu"
    assert manifest["targets"]["dense_1/target"]["dtype"] == "int32"
    assert manifest["variables"][STEP_COUNT]["dtype"] == "int32"
    operators = {node.op_type for node in onnx.load_from_string(files["train_step.onnx"]).graph.node}
    assert operators & {"OneHot", "LogSoftmax", "Pow", "Softplus"} == set()


def test_a_model_for_webgpu_describes_its_inputs() -> None:
    model = jsonnx.compile(WORDS, target="webgpu")
    assert model.inputs["x"].dtype == "int32"
    assert json.loads(model.session().metadata["jsonnx.signature"])["inputs"]["x"]["dtype"] == "int32"
    x = np.random.default_rng(0).integers(0, 9, (4, 5))
    expected = jsonnx.compile(WORDS).session().run(x)
    np.testing.assert_allclose(model.session().run(x)["dense"], expected["dense"], rtol=1e-6)


def test_an_unknown_target_is_an_error() -> None:
    with pytest.raises(ValueError, match="target must be one of"):
        jsonnx.compile(CLASSIFIER, target="gpu")
