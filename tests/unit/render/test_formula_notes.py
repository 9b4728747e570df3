"""The sentences about names in formulas."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.core.components import Component
from jsonnx.layers import LAYERS
from jsonnx.render.reference.component_reference import KINDS
from jsonnx.render.reference.formula_notes import FORMULA_NOTES, formula_notes
from support.formulas import FUNCTIONS

COMPONENTS = [component for registry in (LAYERS, *KINDS.values()) for component in registry]


def test_every_function_that_numpy_lacks_is_explained() -> None:
    functions_of_numpy = {id(function) for function in vars(np).values()}  # under any name: NumPy 1 has `trapz`
    names = {name for name, function in FUNCTIONS.items() if id(function) not in functions_of_numpy}
    names.remove("product")  # beside groupby
    assert names <= set(FORMULA_NOTES)


def test_every_sentence_is_used() -> None:
    used = {note for component in COMPONENTS for note in formula_notes(component)}
    assert used == set(FORMULA_NOTES.values())


@pytest.mark.parametrize(
    ("component", "names"),
    [
        (LAYERS.by_name["Dense"], []),
        (LAYERS.by_name["MaxPooling2D"], ["windows", "fill"]),
        (LAYERS.by_name["LSTM"], ["xs"]),
        (KINDS["initializer"].by_name["he_normal"], ["truncated_normal", "fan_in"]),
    ],
)
def test_a_component_has_the_sentences_of_its_names(component: type[Component], names: list[str]) -> None:
    assert formula_notes(component) == [FORMULA_NOTES[name] for name in names]
