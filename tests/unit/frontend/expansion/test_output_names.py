"""Keys that name outputs may name the use of a block or a repetition, as `outputs` may."""

from __future__ import annotations

from typing import Any

import jsonnx
import pytest
from jsonnx.pipeline.check.check import check_spec

DENSE: dict[str, Any] = {"type": "Dense", "units": 2}
BLOCK: dict[str, Any] = {
    "layers": [{**DENSE, "name": "b"}, {**DENSE, "name": "c", "from": "input"}],
    "outputs": ["b", "c"],
}
CLASSES = {"type": "sparse_categorical_crossentropy", "from_logits": True}


def spec(layers: list[Any], outputs: Any, **more: Any) -> dict[str, Any]:
    document = {"inputs": {"x": {"shape": [4]}}, "blocks": {"part": BLOCK}, "layers": layers, "outputs": outputs}
    return {**document, **more}


def errors(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(item.code, item.path) for item in jsonnx.validate(document) if item.severity == "error"]


def by_output(first: str, second: str) -> dict[str, Any]:
    """The sections of a spec that name two outputs, under these names."""
    return {
        "labels": {first: ["a", "b"]},
        "training": {
            "data": {"train": "a.npz", "y": {first: "y", second: "z"}, "sample_weight": {second: "w"}},
            "loss": {first: CLASSES, second: "mse"},
            "loss_weights": {first: 1, second: 0.5},
            "metrics": {second: ["mae"]},
            "weighted_metrics": {second: ["mse"]},
            "class_weight": {first: "balanced"},
            "target": {"normalize": [second]},
        },
    }


@pytest.mark.parametrize("outputs", [["d", "d.c"], ["d_b", "d_c"], {"d": {}, "d.c": {}}])
def test_keys_may_name_results_of_a_use_of_a_block(outputs: Any) -> None:
    named = spec([{"type": "part", "name": "d"}], outputs, **by_output("d", "d.c"))
    assert errors(named) == []
    flat = spec([{"type": "part", "name": "d"}], outputs, **by_output("d_b", "d_c"))
    assert check_spec(named).network.training == check_spec(flat).network.training
    assert check_spec(named).network.labels == check_spec(flat).network.labels


def test_keys_may_name_a_chain_an_entry_left_out_and_an_auxiliary_output() -> None:
    layers = [
        {**DENSE, "name": "deep", "repeat": 2},
        {**DENSE, "name": "off", "if": False},
        {"type": "part", "name": "side", "from": "x"},
        {"type": "Concatenate", "name": "all", "from": ["deep", "side.c"]},
    ]
    training = {"loss": "mse", "auxiliary_outputs": ["side", "off"], "loss_weights": {"side": 1, "off": 2, "all": 3}}
    network = check_spec(spec(layers, "all", training=training)).network
    assert network.training is not None
    assert network.training.loss_weights == {"side_b": 1, "deep_2": 2, "all": 3}


def test_a_block_that_is_the_last_layer_is_named_by_its_use() -> None:
    document = spec([{"type": "part", "name": "d"}], None, training={"loss": "mse", "data": {"y": {"d": "y"}}})
    del document["outputs"]
    document["blocks"] = {"part": {"layers": [DENSE]}}
    assert errors({**document, "training": {"loss": {"d": "mse"}}}) == []


def test_errors_are_reported_at_the_key_as_written() -> None:
    document = spec([{"type": "part", "name": "d"}], ["d", "d.c"], **by_output("d", "d.c"))
    document["training"]["loss"]["d.c"] = "msee"
    document["training"]["loss_weights"]["d"] = "1"
    assert set(errors(document)) >= {
        ("unknown-type", "$.training.loss['d.c']"),
        ("wrong-type", "$.training.loss_weights.d"),
    }


def test_a_key_beside_the_layer_that_it_leads_to_is_an_error() -> None:
    document = spec([{"type": "part", "name": "d"}], ["d", "d.c"], training={"loss": "mse"})
    document["training"]["loss_weights"] = {"d": 1, "d_b": 2}
    assert errors(document) == [("unknown-name", "$.training.loss_weights.d")]
    document["training"] = {"loss": {"type": "huber", "delta": 2.0}}
    document["layers"][0]["name"] = "delta"
    document["outputs"] = ["delta", "delta.c"]
    assert errors(document) == []
