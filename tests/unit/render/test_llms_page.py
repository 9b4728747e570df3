"""docs/llms.txt: it is short, names every component, and its specs are valid."""

from __future__ import annotations

import json
import re

import jsonnx
import pytest
from jsonnx import library
from jsonnx.frontend.schema.schema import root_schema
from jsonnx.layers import LAYERS
from jsonnx.render.reference.component_reference import KINDS
from jsonnx.render.reference.llms_page import llms_page

MAX_TOKENS = 10_000

BYTES_PER_TOKEN = 3.55
"""tiktoken counts 3.63 bytes a token in this page with cl100k_base, and 3.61 with o200k_base."""

SPECS = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```$", llms_page(), re.DOTALL | re.MULTILINE)]


def test_the_page_fits_into_a_prompt() -> None:
    assert len(llms_page().encode()) / BYTES_PER_TOKEN < MAX_TOKENS


@pytest.mark.parametrize("spec", SPECS)
def test_the_specs_of_the_page_are_valid(spec: dict[str, object]) -> None:
    assert [item for item in jsonnx.validate(spec) if item.code != "unreadable-file"] == []


def test_the_page_names_every_component_and_its_required_arguments() -> None:
    page = llms_page()
    names = {*re.findall(r"\w+(?:\.\w+)*", page)}
    joined = {f"{stem}{axes}" for stem, tail in re.findall(r"(\w+)1D((?:/\dD)+)", page) for axes in tail[1:].split("/")}
    for registry in (LAYERS, *KINDS.values()):
        for name, component in registry.members.items():
            assert name.removeprefix("ops.") in names | joined
            assert set(component.required_attributes()) <= names
    assert set(library.block_types()) <= names


def test_the_page_names_every_key() -> None:
    names = {*re.findall(r"[\w$]+", llms_page())}
    root = root_schema()["properties"]
    training = root["training"]["properties"]
    assert {*root, *training, *training["data"]["properties"]} <= names


@pytest.mark.parametrize(
    "signature",
    [
        "Conv2D, Conv3D(filters, kernel_size, padding=valid|same, activation=null, use_bias=true, groups=1, strides=1, "
        "dilation_rate=1)",
        "MaxPooling1D/2D/3D(padding=valid|same, pool_size=2, strides=null)",
        "clip(x_min=null, x_max=null)",
        "std.UNetUp(filters, kernel_size=3, convolutions=2, activation=relu, batch_normalization=true, dropout=0, "
        "scale=2) from x, skip",
        "huber(delta=1)",
    ],
)
def test_the_page_has_signatures(signature: str) -> None:
    assert signature in llms_page()
