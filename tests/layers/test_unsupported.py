"""What is said of layers that people know and that are not here."""

from __future__ import annotations

import pytest
from jsonnx.layers import LAYERS
from jsonnx.layers.unsupported import NOT_EXPRESSIBLE, REPLACED_NAMES, UNSUPPORTED_OPS, unsupported_layer
from jsonnx.render.explanations import CODES, explain

NAMES = [*NOT_EXPRESSIBLE, *UNSUPPORTED_OPS, *REPLACED_NAMES]


def test_no_name_stands_twice_and_none_is_a_layer() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert not set(NAMES) & set(LAYERS.by_name)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_here_is_explained(name: str) -> None:
    known = unsupported_layer(name)
    assert known is not None
    assert known.code in CODES
    assert name in known.message
    assert not known.message.endswith(".")
    assert known.help in " ".join((explain(name) or "").split())


def test_nothing_is_known_of_other_names() -> None:
    assert unsupported_layer("Dense") is None
    assert unsupported_layer("Dens") is None
