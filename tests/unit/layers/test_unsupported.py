"""Diagnostics for Keras layers that are not supported."""

from __future__ import annotations

import pytest
from jsonnx.layers import LAYERS
from jsonnx.layers.unsupported import NOT_EXPRESSIBLE, REPLACED_NAMES, UNSUPPORTED_OPS, unsupported_layer
from jsonnx.render.explanations import CODES, explain

NAMES = [*NOT_EXPRESSIBLE, *UNSUPPORTED_OPS, *REPLACED_NAMES]


def test_names_are_unique_and_not_layers() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert not set(NAMES) & set(LAYERS.by_name)


@pytest.mark.parametrize("name", NAMES)
def test_unsupported_names_have_a_code_a_message_and_an_explanation(name: str) -> None:
    layer = unsupported_layer(name)
    assert layer is not None
    assert layer.code in CODES
    assert name in layer.message
    assert not layer.message.endswith(".")
    assert layer.help in " ".join((explain(name) or "").split())


def test_other_names_are_not_reported_as_unsupported() -> None:
    assert unsupported_layer("Dense") is None
    assert unsupported_layer("Dens") is None
