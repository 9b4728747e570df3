"""Recording hashes is deterministic, and a comparison reports every kind of difference."""

from __future__ import annotations

from campaigns.graph_hashes.compare import differences
from campaigns.graph_hashes.record import record

HEADER = {"onnx": "1.0", "numpy": "2.0"}


def test_two_records_of_the_same_ids_are_equal() -> None:
    first, second = (record("activated-losses/0", seeds=0, jobs=1, folder=None) for _ in range(2))
    assert len(first["hashes"]) > 1
    assert {"inference", "command/output"} <= set(next(iter(first["hashes"].values())))
    assert differences(first, second) == []


def test_comparison_reports_changed_missing_and_new_ids() -> None:
    before = {"same": {"spec": "0"}, "changed": {"inference": "1", "spec": "2", "old": "3"}, "gone": {"spec": "4"}}
    after = {"same": {"spec": "0"}, "changed": {"inference": "9", "spec": "2"}, "added": {"spec": "5"}}
    assert differences({"header": HEADER, "hashes": before}, {"header": HEADER, "hashes": after}) == [
        "new: added",
        "differs: changed: inference, old",
        "missing: gone",
    ]


def test_comparison_reports_changed_platform_facts() -> None:
    other = {**HEADER, "onnx": "1.1"}
    assert differences({"header": HEADER, "hashes": {}}, {"header": other, "hashes": {}}) == [
        "header onnx: 1.0 before, 1.1 after"
    ]
