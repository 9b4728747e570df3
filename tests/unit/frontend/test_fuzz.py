"""Random mutations of valid specs: validation is fast, raises no exception, and all diagnostics have positions."""

from __future__ import annotations

import copy
import json
import random
import re
import time
from pathlib import Path
from typing import Any

import pytest
from jsonnx.pipeline.check.check import check_spec

ROOT = Path(__file__).parents[3]

NASTY: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 3, 7, 1.0, 1.5, -0.5, 1e308, -1e308, 5e-324),
    *(2**31, 2**31 - 1, 2**53 + 1, 2**63, -(2**63), 2**64, 10**400, -(10**400)),
    *("", "x", "dense", "Dense", "relu", "batch", "x.state_h", "a b", "\n", "\u202e", "é", "\U0001f600", "a" * 300),
    *(3, 4, 5, 6, 8, 12, -2, -3, 10, 100),
    *("$ref", "type", "from", "${width}", "valid", "same", "mse", "adam", "0", "1e5"),
    *(
        [],
        [[]],
        [[[]]],
        {},
        [1],
        [2],
        [-1],
        [2, 1],
        [1, 1],
        [3, 3],
        [2, 2],
        [-1, 4],
        [[1, 1], [2, 0]],
        [0, 0],
        [-1, -1],
        [1, 2, 3],
        [2**40, 2**40],
        [1.5],
        ["x"],
        ["x", "x"],
        ["dense", 5],
    ),
    *(
        [None, None],
        [True],
        {"type": "Dense"},
        {"type": "relu"},
        {"type": 5},
        {"type": None},
        {"type": []},
        {"use": "x"},
    ),
    *({"type": "Bidirectional", "layer": {"type": "LSTM", "units": 3}}, {"a": {"b": {"c": [{}]}}}, [{"type": "Dense"}]),
]

BASE: dict[str, Any] = {
    "inputs": {"x": {"shape": [6, 4]}, "y": {"shape": ["time", 4], "dtype": "float32"}},
    "layers": [
        {"type": "Dense", "name": "stem", "units": 4, "activation": "relu", "kernel_regularizer": "l2", "from": "x"},
        {"type": "Activation", "activation": {"type": "leaky_relu", "negative_slope": 0.1}},
        {"use": "stem", "name": "again", "from": "y"},
        {"type": "Activation", "name": "other", "activation": "tanh"},
        {"type": "Dense", "name": "head", "units": 3, "activation": "softmax", "from": ["activation"]},
    ],
    "outputs": ["head", "other"],
    "labels": {"head": ["a", "b", "c"]},
    "training": {
        "loss": {"head": "sparse_categorical_crossentropy", "other": {"type": "mse"}},
        "loss_weights": {"head": 2.0},
        "metrics": {"head": ["accuracy"], "other": ["mae"]},
        "optimizer": {"type": "adam", "learning_rate": 0.01, "beta_1": 0.8},
        "data": {"train": "a.npz", "x": {"x": "x", "y": ["a", "b"]}, "validation_split": 0.1},
        "early_stopping": {"monitor": "loss", "patience": 3},
        "epochs": 3,
        "seed": 1,
    },
}


def seeds() -> list[dict[str, Any]]:
    """Returns valid specs: the samples, one with all features of the language, and every layer by itself."""
    from unit.layers.cases import all_cases

    samples = [json.loads(path.read_text("utf-8")) for path in sorted((ROOT / "samples").glob("*.json"))]
    single_layers = []
    for case in all_cases():
        inputs = {f"x{index}": {"shape": list(shape), "dtype": case.dtype} for index, shape in enumerate(case.inputs)}
        single_layers.append({"inputs": inputs, "layers": [{**case.layer, "from": list(inputs)}]})
    return [BASE] * (len(single_layers) // 4) + samples * 2 + single_layers


def places(value: Any) -> list[tuple[Any, Any]]:
    """Returns every container of a document with each of its keys or indexes."""
    entries: list[tuple[Any, Any]] = []
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            entries += [(value, key), *places(value[key])]
    return entries


def mutate(document: Any, rng: random.Random) -> Any:
    """Returns a copy of the document with a few values changed."""
    document = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 1, 1, 2, 4))):
        candidates = places(document)
        if not candidates:
            break
        container, key = rng.choice(candidates)
        match rng.randrange(8):
            case 0 | 1:
                container[key] = copy.deepcopy(rng.choice(NASTY))
            case 2 | 3 | 4 if same_type := [value for value in NASTY if type(value) is type(container[key])]:
                container[key] = copy.deepcopy(rng.choice(same_type))
            case 5:
                del container[key]
            case 6 if isinstance(container, list):
                container.insert(rng.randrange(len(container) + 1), copy.deepcopy(container[key]))
            case 6:
                container[str(rng.choice(NASTY))[:40]] = container[key]
            case _:
                other, other_key = rng.choice(candidates)
                container[key] = copy.deepcopy(other[other_key])
    return document


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 16))])
def test_a_mutated_spec_gets_diagnostics_with_positions_and_no_exception(seed: int) -> None:
    rng = random.Random(seed)
    valid_specs = seeds()
    for _ in range(400):
        text = json.dumps(mutate(rng.choice(valid_specs), rng), indent=1)
        start_seconds = time.process_time()
        try:
            checked = check_spec(text)
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}\n{text}") from error
        assert time.process_time() - start_seconds < 10, text
        assert all(
            diagnostic.line and diagnostic.column and 0 < len(diagnostic.message) < 500
            for diagnostic in checked.diagnostics
        ), text
        if not any(diagnostic.severity == "error" for diagnostic in checked.diagnostics):
            assert checked.typed_network is not None, text
            assert set(checked.typed_network.outputs) == set(checked.network.outputs), text
            assert (checked.objective is None) == (checked.network.training is None), text


def test_the_seeds_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "samples")  # two samples name tokenizers
    diagnostics = {json.dumps(spec): check_spec(json.dumps(spec)).diagnostics for spec in seeds()}
    # The results of some functions cannot be outputs of a network.
    expected = re.compile("first axis is not the batch|is random numbers")
    others = {
        text: [found for found in diagnostics[text] if not expected.search(found.message)] for text in diagnostics
    }
    assert {text: found for text, found in others.items() if found} == {}
