"""The paths of all layers' weights in a weights file, compared with those recorded from Keras 3."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonnx.interop.keras.weights.weight_paths import duplicate_variable_paths, group_names, variable_paths
from support.harness import lower, one_layer
from unit.layers.cases import all_cases

RECORDED = json.loads((Path(__file__).parent / "files" / "keras3_places.json").read_text())
CASES = [case for case in all_cases() if case.id in RECORDED]


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_paths_are_those_of_keras(case) -> None:
    graph = lower(one_layer(case.layer, *case.inputs, dtype=case.dtype))
    names = [name.partition("/")[2] for name in (*graph.parameters, *graph.states)]
    kind = case.layer["type"]
    paths = [*variable_paths(kind, names).values(), *duplicate_variable_paths(kind, names).values()]
    assert sorted(path.path_in("") for path in paths) == sorted(RECORDED[case.id])


def test_groups_are_numbered_by_class() -> None:
    assert group_names(["Dense", "Conv2D", "Dense", "LSTM", "Dense"]) == [
        "dense",
        "conv2d",
        "dense_1",
        "lstm",
        "dense_2",
    ]
