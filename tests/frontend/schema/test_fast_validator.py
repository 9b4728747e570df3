"""The quick answer whether a document fits the schema is the one that jsonschema gives."""

from __future__ import annotations

import copy
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonnx.core.diagnostics import CompileError, Report
from jsonnx.frontend.json_reader import read_text
from jsonnx.frontend.schema.errors import _validator
from jsonnx.frontend.schema.fast_validator import IGNORED_KEYWORDS, KEYWORDS, is_valid
from jsonnx.frontend.schema.schema import reuse_properties, root_schema, spec_schema
from layers.cases import all_cases

ROOT = Path(__file__).parents[3]
SPECS = [*sorted((ROOT / "samples").glob("*.json")), *sorted((ROOT / "tests/diagnostics").glob("*.json"))]

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 3, 1.0, 0.5, -0.0, 2**31, 2**63, -(2**63), 1e39, 1e-46, float("inf"), float("nan"),
    "", "relu", "Dense", "x\n", "same", "a b", "layer.out", "x" * 300, [], [1], [1, 2], [1, True], ["x"], [[1], [2]],
    {}, {"type": "adam"}, {"type": "Dense", "units": 3}, {"type": "nothing"}, {"use": "dense"}, {"class": 1},
]  # fmt: skip


def test_every_keyword_of_the_schema_is_known() -> None:
    def keywords(value: Any) -> Iterator[str]:
        if isinstance(value, list):
            for item in value:
                yield from keywords(item)
        if isinstance(value, dict):
            for key, inner in value.items():
                yield key
                if key in ("properties", "$defs"):
                    yield from (found for each in inner.values() for found in keywords(each))
                elif key not in ("enum", "const", "default", "required"):
                    yield from keywords(inner)

    for whole in (spec_schema(), {"properties": reuse_properties()}):
        assert set(keywords(whole)) <= set(KEYWORDS) | IGNORED_KEYWORDS
    with pytest.raises(KeyError):
        is_valid(1, {"multipleOf": 2})


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a value, with the keys of it."""
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def altered(document: Any, rng: random.Random) -> Any:
    """A document with something in it replaced, left out or put in."""
    document = copy.deepcopy(document)
    found = list(places(document))
    if not found:
        return rng.choice(VALUES)
    container, key = rng.choice(found)
    match rng.randrange(4):
        case 0 if isinstance(container, dict):
            container[rng.choice(["name", "from", "units", "seed", "axis", "bogus", "type"])] = rng.choice(VALUES)
        case 1:
            del container[key]
        case 2 if isinstance(container[key], (int, float)):
            container[key] = rng.choice(
                [-container[key], float(container[key]), container[key] * 2, container[key] + 1]
            )
        case _:
            container[key] = copy.deepcopy(rng.choice(VALUES))
    return document


def documents() -> Iterator[Any]:
    for spec in SPECS:
        try:
            yield read_text(spec.read_bytes()).value
        except CompileError:
            continue
    for case in all_cases():
        yield {"inputs": {"x": {"shape": [3]}}, "layers": [case.layer]}


@pytest.mark.parametrize("seed", range(4))
def test_the_quick_answer_is_that_of_jsonschema(seed: int) -> None:
    rng, counts = random.Random(seed), {True: 0, False: 0}
    for document in documents():
        small = document
        if isinstance(document, dict) and isinstance(document.get("layers"), list):
            small = {**document, "layers": rng.sample(document["layers"], min(3, len(document["layers"])))}
        for candidate in (small, altered(small, rng), altered(altered(small, rng), rng)):
            expected = _validator().is_valid(candidate)
            assert is_valid(candidate, root_schema()) == expected, json.dumps(candidate)
            counts[expected] += 1
    assert min(counts.values()) > 100


def test_jsonschema_is_not_needed_for_a_sound_spec() -> None:
    for sample, wanted in (("samples/mnist_mlp.json", "False"), ("tests/diagnostics/choice.json", "True")):
        code = f"import sys, jsonnx; jsonnx.validate({sample!r}); print('jsonschema' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
        assert done.stdout.strip() == wanted


def test_what_does_not_fit_is_told() -> None:
    report = Report()
    from jsonnx.frontend.schema.errors import check_against_schema

    check_against_schema({"inputs": {"x": {"shape": [3]}}, "layers": [{"type": "Dense", "units": True}]}, report)
    assert [fault.code for fault in report] == ["wrong-type"]
