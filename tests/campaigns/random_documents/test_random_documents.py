"""Examines a few hundred random documents; `run.py` beside this file examines any number of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from campaigns.random_documents import examine, ledger, run
from campaigns.random_documents.generate import text
from campaigns.random_documents.shrink import shrink
from jsonnx.layers import LAYERS
from jsonnx.training.losses.losses import LOSSES
from jsonnx.training.metrics.metrics import METRICS
from jsonnx.training.optimizers.optimizers import OPTIMIZERS

SEEDS = range(150)
ROUNDS = 8
"""Number of documents per layer type in which each type must occur."""


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_document_is_processed_or_diagnosed() -> None:
    outcomes = {seed: examine.examine(text(seed)) for seed in SEEDS}
    assert {seed: outcome.findings for seed, outcome in outcomes.items() if outcome.findings} == {}
    sound = sum("verify" in outcome.stages for outcome in outcomes.values())
    assert 0.2 < sound / len(SEEDS) < 0.75
    assert any("verify step" in outcome.stages for outcome in outcomes.values())


def test_every_layer_loss_metric_and_optimizer_is_drawn() -> None:
    drawn = {word for seed in range(ROUNDS * len(LAYERS.members)) for word in strings(text(seed))}
    for registry in (LAYERS, LOSSES, METRICS, OPTIMIZERS):
        names = {component: {n for n, c in registry.by_name.items() if c is component} for component in registry}
        assert [component.type_name for component, aliases in names.items() if not aliases & drawn] == []


def strings(document: str) -> set[str]:
    """Returns all strings in a document, at any depth; none if it is not JSON."""

    def walk(value: Any) -> set[str]:
        if isinstance(value, str):
            return {value}
        items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return set().union(*map(walk, items))

    try:
        return walk(json.loads(document))
    except ValueError:
        return set()


def test_a_seed_gives_the_same_document_in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "12345")
    lines, crash = run.run_child(3, 2)
    assert not crash
    begun = {line["seed"]: line["sha256"] for line in lines if "sha256" in line}
    assert begun == {seed: run.digest(text(seed)) for seed in (3, 4)}
    assert [line["seed"] for line in lines if "counts" in line] == [3, 4]


def test_an_internal_error_is_found_grouped_and_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise IndexError("tuple index out of range")

    monkeypatch.setattr("jsonnx.layers.core.Dense.infer", fail)
    layers = [{"type": "ReLU"}, {"type": "Dense", "units": 3, "name": "d"}, {"type": "Flatten"}]
    document = json.dumps({"inputs": {"x": {"shape": [4, 2]}}, "layers": layers})
    (finding,) = examine.examine(document).findings
    assert finding.group == ("validate", "IndexError", "layers/base.py:infer_types")
    small = json.loads(shrink(document, lambda shorter: finding.group in run.groups_of(shorter)))
    assert [layer["type"] for layer in small["layers"]] == ["Dense"]


def test_a_document_that_takes_too_long_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def loop(*_: object) -> None:
        while True:
            pass

    monkeypatch.setattr(examine, "check_formatting", loop)
    findings = examine.examine('{"inputs": {}, "layers": []}', seconds=0.05).findings
    assert [finding.kind for finding in findings] == ["TimeLimitExceeded"]


def test_the_ledger_merges_runs_and_findings() -> None:
    first = {"version": "a", "onnx": "1", "seed": 0, "documents": 50, "sound": 20, "trained": 5}
    second, other = first | {"seed": 50}, first | {"seed": 100, "version": "b"}
    merged = first | {"documents": 100, "sound": 40, "trained": 10}
    assert ledger.merge_runs([second, other, first]) == [merged, other]
    finding = {"stage": "fmt", "kind": "KeyError", "place": "a.py:f", "text": "{}"}
    assert ledger.merge_findings([finding | {"text": "{ }"}, finding]) == [finding | {"count": 2}]
