"""docs/llms.txt: it is short, names every component, and its specs are valid."""

from __future__ import annotations

import json
import re

import jsonnx
import pytest
from jsonnx import library
from jsonnx.frontend.schema.schema import root_schema
from jsonnx.layers import LAYERS
from jsonnx.pipeline.check.check import check_spec
from jsonnx.render.reference.component_reference import KINDS
from jsonnx.render.reference.llms_page import llms_page
from unit.render.llms_reuse_rules import REUSE_RULES, TRAINING_RULES
from unit.render.llms_rules import LANGUAGE_RULES, Refused, Rule, Shown

MAX_TOKENS = 10_500

BYTES_PER_TOKEN = 3.55
"""tiktoken counts 3.63 bytes a token in this page with cl100k_base, and 3.61 with o200k_base."""

SPECS = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```$", llms_page(), re.DOTALL | re.MULTILINE)]


RULES_BY_SECTION = {
    "Rules": LANGUAGE_RULES,
    "Parameters, blocks, repetition": REUSE_RULES,
    "Training": TRAINING_RULES,
}
RULES = [rule for rules in RULES_BY_SECTION.values() for rule in rules]
SHOWN = [(rule.beginning, shown) for rule in RULES for shown in rule.shown]
REFUSED = [(rule.beginning, refused) for rule in RULES for refused in rule.refused]


@pytest.mark.parametrize("section", RULES_BY_SECTION)
def test_every_rule_of_the_page_has_a_spec_that_shows_it(section: str) -> None:
    text = llms_page().partition(f"## {section}\n")[2].partition("\n## ")[0]
    bullets = [line.removeprefix("- ") for line in text.splitlines() if line.startswith("- ")]
    rules: tuple[Rule, ...] = RULES_BY_SECTION[section]
    assert [rule.beginning for rule in rules] == [
        next((rule.beginning for rule in rules if bullet.startswith(rule.beginning)), bullet) for bullet in bullets
    ]
    assert all(rule.shown for rule in rules)


@pytest.mark.parametrize(("rule", "shown"), SHOWN, ids=[rule for rule, _ in SHOWN])
def test_a_spec_that_shows_a_rule_is_valid(rule: str, shown: Shown) -> None:
    assert [item for item in jsonnx.validate(shown.spec) if item.code != "unreadable-file"] == []
    types = check_spec(shown.spec).require().types
    for name, shape in shown.shapes.items():
        assert tuple(str(size) for size in types[name].shape[1:]) == tuple(map(str, shape))


@pytest.mark.parametrize(("rule", "refused"), REFUSED, ids=[rule for rule, _ in REFUSED])
def test_a_spec_against_a_rule_has_an_error(rule: str, refused: Refused) -> None:
    errors = [item.code for item in jsonnx.validate(refused.spec) if item.severity == "error"]
    assert errors == [refused.code]


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
