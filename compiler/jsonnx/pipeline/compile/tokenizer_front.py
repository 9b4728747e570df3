"""Puts a Tokenizer before a network that takes ids of tokens, such as an imported one: then it takes texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.diagnostics import UsageError
from ...layers.preprocessing.tokenizer import IDS, MASK, TYPE_IDS
from .classifier_head import check_new_name

TOKENIZER_NAME = "tokens"
REPLACED_INPUTS = {
    IDS: TOKENIZER_NAME,
    MASK: f"{TOKENIZER_NAME}.{MASK}",
    TYPE_IDS: f"{TOKENIZER_NAME}.{TYPE_IDS}",
}
"""The results of the Tokenizer by the inputs in whose place they are."""


def with_tokenizer(document: Mapping[str, Any], text: str, file: str, max_length: int | None = None) -> dict[str, Any]:
    """A spec whose inputs `input_ids`, `attention_mask` and `token_type_ids` are the results of a Tokenizer of a text.

    `text` is the name of the new input, `file` the tokenizer, relative to the folder of the spec, and `max_length` the
    number of tokens that the network takes. Raises UsageError `not-supported` for a spec without an input `input_ids`,
    or with a layer or an input of a name that is needed.
    """
    inputs = dict(document.get("inputs", {}))
    if IDS not in inputs:
        raise UsageError("not-supported", f"the network has no input {IDS!r}, so that no Tokenizer fits before it")
    check_new_name(document, text, "write --text NAME, such as --text review")
    layers = [dict(entry) for entry in document["layers"]]
    others = {name: entry for name, entry in inputs.items() if name not in REPLACED_INPUTS}
    taken = {*others, *(entry.get("name") for entry in layers)} & {text, TOKENIZER_NAME}
    if taken or text == TOKENIZER_NAME:
        name = min(taken, default=text)
        raise UsageError("not-supported", f"the network has the name {name!r}, which a Tokenizer or its text needs")
    length = {} if max_length is None else {"max_length": max_length}
    tokenizer = {"type": "Tokenizer", "name": TOKENIZER_NAME, "from": text, "file": file, **length}
    return {
        **document,
        "inputs": {text: {"shape": [], "dtype": "string"}, **others},
        "layers": [tokenizer, *(_renamed(entry) for entry in layers)],
    }


def _renamed(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of a layer that reads results of the Tokenizer in place of inputs."""
    sources = entry.get("from")
    if isinstance(sources, str):
        return {**entry, "from": REPLACED_INPUTS.get(sources, sources)}
    if isinstance(sources, list):
        return {**entry, "from": [REPLACED_INPUTS.get(name, name) for name in sources]}
    return entry
