"""A few random single mistakes in the samples; `spec_mutations.run` makes thousands."""

from __future__ import annotations

import json
import random

from jsonnx.frontend.json.json_reader import read_text

from .mutations import MUTATORS
from .run import SAMPLES, meaning, trials

CORRECTED_KINDS = {"foreign name", "foreign key", "syntax", "case of a type", "misplaced key"}
"""Kinds of mistakes that nearly always have a fix."""


def test_most_mistakes_have_a_fix_that_makes_the_file_valid() -> None:
    examined = [trial for trial in trials(40, seed=3, max_bytes=4_000) if trial.errors]
    assert not [(trial.sample, trial.mutation.where, trial.fix_errors) for trial in examined if trial.fix_errors]
    certain = [trial for trial in examined if trial.mutation.kind in CORRECTED_KINDS]
    assert len(certain) > 10
    assert sum(trial.is_restored for trial in certain) > 0.9 * len(certain)
    assert sum(trial.has_fix for trial in examined) > 0.6 * len(examined)


def test_no_fix_changes_the_meaning_of_a_spec_without_names() -> None:
    examined = [trial for trial in trials(40, seed=5, max_bytes=4_000, unnamed=True) if trial.errors]
    assert len(examined) > 20
    assert not [(trial.sample, trial.mutation.where, trial.fix_errors) for trial in examined if trial.fix_errors]


def test_a_fix_that_freezes_another_layer_changes_the_meaning() -> None:
    original = json.loads((SAMPLES[0].parent / "digits_transfer.json").read_text("utf-8"))
    other = json.loads(json.dumps(original))
    other["training"]["freeze"] = ["conv2d_1"]
    texts = [json.dumps(document) for document in (original, other)]
    meanings = [meaning(text, str(SAMPLES[0].parent / "digits_transfer.json")) for text in (*texts, texts[0])]
    assert meanings[0] == meanings[2] != meanings[1]


def test_the_same_seed_gives_the_same_mistakes_of_all_kinds() -> None:
    document = json.loads((SAMPLES[0].parent / "digits_residual.json").read_text("utf-8"))
    for kind, mutate in MUTATORS.items():
        first, second = (mutate(document, random.Random(7)) for _ in range(2))
        assert first == second
        if first is not None and kind != "syntax":
            assert read_text(first[0]).value != document
