"""Which models are batched, and why the others are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonnx.core.types import BATCH, TensorType
from jsonnx.pipeline.check.check import check_spec
from jsonnx.server.batching.batching import Batching
from jsonnx.server.batching.proof import batching_of

SAMPLES = Path(__file__).parents[4] / "samples"
FLOATS = TensorType("float32", (BATCH, 4))


def batching(
    *layers: dict[str, Any], shape: tuple[Any, ...] = (4,), dtype: str = "float32", **options: Any
) -> Batching:
    spec = {"inputs": {"x": {"shape": [*shape], "dtype": dtype}}, "layers": [*layers]}
    checked = check_spec(spec)
    typed = checked.require()
    randoms = options.pop("random_inputs", ())
    return batching_of(checked, typed.network.inference_inputs, typed.inference_outputs, randoms, **options)


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_all_samples_are_batched(path: Any) -> None:
    checked = check_spec(path)
    typed = checked.require()
    found = batching_of(checked, typed.network.inference_inputs, typed.inference_outputs, ())
    assert found.is_allowed, found.reason
    assert "the same bits in every batch" in found.reason


@pytest.mark.parametrize(
    "layer",
    [
        {"type": "ops.cumsum", "axis": 0, "name": "mean"},
        {"type": "ops.roll", "shift": 1, "axis": 0, "name": "mean"},
        {"type": "ops.flip", "axis": 0, "name": "mean"},
        {"type": "ops.softmax", "axis": 0, "name": "mean"},
    ],
    ids=lambda layer: layer["type"],
)
def test_rows_that_affect_one_another_are_never_batched(layer: dict[str, Any]) -> None:
    found = batching({"type": "Dense", "units": 4}, layer, {"type": "Dense", "units": 2})
    assert not found.is_allowed
    assert found.reason == "the rows of a batch may affect one another in 'mean'"


def test_texts_that_are_as_long_as_the_longest_one_are_not_batched() -> None:
    texts = {"type": "TextVectorization", "vocabulary": ["the", "cat"], "name": "words"}
    embedding = {"type": "Embedding", "input_dim": 4, "output_dim": 4}
    rest = embedding, {"type": "GlobalMaxPooling1D"}
    found = batching(texts, *rest, shape=(), dtype="string")
    assert not found.is_allowed
    assert found.reason == "the rows of a batch may affect one another in 'words'"
    assert batching(texts | {"output_sequence_length": 5}, *rest, shape=(), dtype="string").is_allowed


def test_layers_whose_last_bits_depend_on_the_place_of_a_row_are_named() -> None:
    found = batching({"type": "UnitNormalization", "name": "unit"}, shape=(5,))
    assert not found.is_allowed
    assert found.reason == "the last bits of the results of 'unit' depend on the place of a row in its batch"
    assert batching({"type": "UnitNormalization", "name": "unit"}, shape=(8,)).is_allowed


def test_runs_are_as_large_as_kernels_need_it() -> None:
    sizes = lambda found: (found.min_rows, found.row_multiple)  # noqa: E731
    assert sizes(batching({"type": "SimpleRNN", "units": 8}, shape=(3, 4))) == (2, 1)
    assert sizes(batching({"type": "GlobalAveragePooling1D"}, shape=(3, 4))) == (2, 1)
    assert sizes(batching({"type": "Dense", "units": 8, "activation": "elu"})) == (1, 1)
    assert sizes(batching({"type": "Dense", "units": 3, "activation": "elu"})) == (1, 4)
    assert sizes(batching({"type": "Dense", "units": 3, "activation": "tanh"})) == (1, 1)


def test_several_threads_and_other_providers_promise_no_bits() -> None:
    dense = {"type": "Dense", "units": 3, "activation": "elu"}
    assert "with several threads" in batching(dense, threads=2).reason
    assert batching(dense, threads=2).is_allowed
    assert "on this provider" in batching(dense, is_cpu=False).reason


def test_a_file_without_a_spec_is_batched_if_asked() -> None:
    types = {"x": FLOATS}, {"y": FLOATS}
    assert batching_of(None, *types, ()) == Batching(
        False, "the file does not say how it was made, so that its rows may affect one another"
    )
    assert batching_of(None, *types, (), is_asked_for=True).is_allowed


def test_an_unproven_model_with_a_spec_is_batched_if_asked() -> None:
    found = batching({"type": "UnitNormalization", "name": "unit"}, shape=(5,), is_asked_for=True)
    assert found.is_allowed
    assert found.reason.startswith("although nothing is proven, --batch-unproven asks for it: the last bits")


@pytest.mark.parametrize(
    ("inputs", "outputs", "randoms", "reason"),
    [
        ({"x": TensorType("float32", (3, 4))}, {"y": FLOATS}, (), "the input 'x' (float32[3, 4]) has no axis"),
        ({"x": FLOATS}, {"y": TensorType("float32", ())}, (), "the output 'y' (float32[]) has no axis"),
        ({}, {"y": FLOATS}, (), "it has no inputs"),
        ({"x": FLOATS}, {"y": FLOATS}, ("noise",), "its random input 'noise' is drawn for each request"),
    ],
    ids=["fixed", "scalar", "no inputs", "random"],
)
def test_a_model_that_cannot_take_more_rows_is_not_batched_even_if_asked(
    inputs: dict[str, TensorType], outputs: dict[str, TensorType], randoms: tuple[str, ...], reason: str
) -> None:
    found = batching_of(None, inputs, outputs, randoms, is_asked_for=True)
    assert not found.is_allowed
    assert found.reason.startswith(reason)


def test_rows_that_are_rounded_by_the_range_of_their_batch_are_not_batched() -> None:
    dense = {"type": "Dense", "units": 2}
    found = batching(dense, precision="int8-dynamic")
    assert not found.is_allowed
    assert found.reason == "int8-dynamic rounds a row by the range of all rows of its batch"
    assert batching(dense, precision="int8-dynamic", is_asked_for=True).is_allowed
    assert batching(dense, precision="int8").is_allowed
