"""Mutated folders of Hugging Face models are imported or rejected."""

from __future__ import annotations

from .folders import run


def test_mutated_folders_are_imported_or_rejected() -> None:
    outcomes = run(150, seed=1)
    assert outcomes.total() == 150
    assert {"imported", "damaged-file", "wrong-type", "missing-key", "unsupported-model"} <= outcomes.keys()
    assert "internal-error" not in outcomes
