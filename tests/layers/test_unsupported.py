"""What is said of layers that people know and that are not here."""

from __future__ import annotations

import pytest
from jsonnx.layers import LAYERS
from jsonnx.layers.unsupported import FUNCTIONS, GONE, NOT_EXPRESSIBLE, absent
from jsonnx.render.explanations import CODES, explain

NAMES = [*NOT_EXPRESSIBLE, *FUNCTIONS, *GONE]


def test_no_name_stands_twice_and_none_is_a_layer() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert not set(NAMES) & set(LAYERS.names)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_here_is_explained(name: str) -> None:
    known = absent(name)
    assert known is not None
    assert known.code in CODES
    assert name in known.message
    assert not known.message.endswith(".")
    assert known.help in " ".join((explain(name) or "").split())


def test_nothing_is_known_of_other_names() -> None:
    assert absent("Dense") is None
    assert absent("Dens") is None
