"""Targets: each property of a target decides about a rewrite of a step."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, NamedTuple

import pytest
from jsonnx.ir import Graph
from jsonnx.tuning.cpu.gated_add import fuse_gated_adds
from jsonnx.tuning.cpu.matmul.partition_rows import partition_rows
from jsonnx.tuning.cpu.memory.inplace_updates import OverwrittenVariables
from jsonnx.tuning.cpu.nchwc.convert import to_nchwc
from jsonnx.tuning.cpu.pipeline import CPU_PASSES, optimize_for_cpu
from jsonnx.tuning.cpu.recurrent.convert import recurrent_matmuls_to_nchwc
from jsonnx.tuning.cpu.schedule import rematerialize_and_schedule
from jsonnx.tuning.cpu.target import Pass, Target
from support.nchwc_graphs import BLOCK, all_nodes, conv
from support.training_steps import training_graph


def spec(layers: list[dict[str, Any]], shape: tuple[int, ...]) -> dict[str, Any]:
    return {
        "inputs": {"x": {"shape": list(shape)}},
        "layers": [*layers, {"type": "Dense", "units": 3}],
        "training": {"loss": "mse", "optimizer": "adam"},
    }


IMAGES = spec([conv(16), conv(16), {"type": "GlobalAveragePooling2D"}], (12, 12, 16))
ROWS = spec([{"type": "Dense", "units": 700}, {"type": "Dense", "units": 60}], (60,))
SEQUENCES = spec([{"type": "LSTM", "units": 128}], (6, 28))
DEEP = spec([{"type": "Dense", "units": 64, "activation": "gelu"}] * 12, (64,))
DEEP_TEXTS = spec([*DEEP["layers"][:-1], {"type": "GlobalAveragePooling1D"}], ("time", 64))  # type: ignore[arg-type]
NCHWC = Target(block_size=BLOCK)


class Property(NamedTuple):
    """A value of a property, and the passes that it makes rewrite a step as they do not for another target."""

    value: Any
    spec: dict[str, Any]
    other_target: Target
    passes: set[Pass]


PROPERTIES = {
    "block_size": Property(BLOCK, IMAGES, Target(), {to_nchwc}),
    "has_gated_add": Property(True, ROWS, Target(), {fuse_gated_adds}),
    "threads": Property(2, ROWS, Target(), {partition_rows}),
    "usual_batch": Property(64, SEQUENCES, NCHWC, {recurrent_matmuls_to_nchwc}),
    "expected_batch": Property(2 * BLOCK, IMAGES, NCHWC, {to_nchwc}),
    "keeps_order": Property(True, ROWS, Target(), {rematerialize_and_schedule}),
    "overwritten": Property(
        OverwrittenVariables(frozenset({"dense/kernel"}), {}),
        ROWS,
        Target(keeps_order=True),
        {rematerialize_and_schedule},
    ),
    "remat": Property("full", DEEP, Target(keeps_order=True, usual_batch=64), {rematerialize_and_schedule}),
    "sizes": Property({"time": 1}, DEEP_TEXTS, Target(keeps_order=True, remat="full"), {rematerialize_and_schedule}),
}


def operators(graph: Graph) -> list[tuple[str, str]]:
    return [(node.op, node.scope) for node in all_nodes(graph)]


def test_every_property_has_a_case() -> None:
    assert PROPERTIES.keys() == {field.name for field in fields(Target)}


@pytest.mark.parametrize("name", PROPERTIES)
def test_every_property_decides_about_a_rewrite(name: str) -> None:
    value, document, other_target, expected_passes = PROPERTIES[name]
    step, target = training_graph(document), replace(other_target, **{name: value})
    passes = {each for each in CPU_PASSES if operators(each(step, target)) != operators(each(step, other_target))}
    assert passes == expected_passes
    assert operators(optimize_for_cpu(step, target)) != operators(optimize_for_cpu(step, other_target))
