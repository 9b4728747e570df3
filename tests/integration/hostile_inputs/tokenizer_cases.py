"""Hostile tokenizers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.small_tokenizers import word_piece

from .cases import SPEC, Case

FILE = "tokenizer.json"
MIB = 1 << 20
Document = dict[str, Any]


def _file(row: str, name: str, make: Callable[[], bytes], *arguments: str) -> Case:
    """A spec that names the tokenizer that is made, and data with one text."""

    def write() -> None:
        Path(FILE).write_bytes(make())
        _spec()

    return Case(row, name, write, arguments or ("validate", SPEC))


def _changed(row: str, name: str, change: Callable[[Document], Any]) -> Case:
    """A valid tokenizer with a change, with which a spec is trained."""

    def make() -> bytes:
        document = json.loads(word_piece().to_str())
        change(document)
        return json.dumps(document).encode()

    return _file(row, name, make, "train", SPEC, "-o", "run")


def _spec(file: str = FILE, **keys: Any) -> None:
    layers = [
        {"type": "Tokenizer", "name": "tokens", "file": file, **keys},
        {"type": "Embedding", "input_dim": 200, "output_dim": 2},
        {"type": "GlobalAveragePooling1D"},
        {"type": "Dense", "name": "y", "units": 1},
    ]
    inputs = {"text": {"shape": [], "dtype": "string"}}
    training = {"loss": "mse", "data": {"train": "data.csv"}}
    Path(SPEC).write_text(json.dumps({"inputs": inputs, "layers": layers, "training": training}, indent=1))
    Path("data.csv").write_text("text,y\n" + "some text,1\n\u2603,0\n" * 4, "utf-8")


def _named(name: str, file: str) -> Case:
    return Case("H3", name, lambda: _spec(file))


def _set(*path: Any, value: Any) -> Callable[[Document], Any]:
    def change(document: Document) -> None:
        inner: Any = document
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value

    return change


TOKENIZERS = (
    _file("H1", "text", lambda: b"no tokenizer"),
    _file("H1", "empty", lambda: b""),
    _file("H1", "no_unicode", lambda: b'{"model": "\xff\xfe"}'),
    _file("H1", "another_document", lambda: b'{"inputs": {}}'),
    _file("H1", "cut", lambda: word_piece().to_str().encode()[:200]),
    _file("H2", "too_large", lambda: b" " * (64 * MIB + 1)),
    _file("H2", "nested", lambda: b"[" * 1_000_000),
    _file("H2", "many_values", lambda: b"[" + b"0," * 9_000_000 + b"0]"),
    _named("parent", "../tokenizer.json"),
    _named("absolute", "/etc/tokenizer.json"),
    _named("absent", "absent_tokenizer.json"),
    _named("file_of_a_run", "run.json"),
    _changed("H4", "negative_id", _set("model", "vocab", "[UNK]", value=-1)),
    _changed("H4", "huge_id", _set("model", "vocab", "[UNK]", value=1 << 40)),
    _changed("H4", "id_beyond_the_embedding", _set("model", "vocab", "absent", value=100_000)),
    _changed("H4", "no_unknown_token", _set("model", "unk_token", value="absent")),
    _changed("H4", "unknown_normalizer", _set("normalizer", value={"type": "Absent"})),
    _changed("H4", "text_as_vocabulary", _set("model", "vocab", value="text")),
    _changed("H4", "invalid_pattern", _set("pre_tokenizer", value={
        "type": "Split", "pattern": {"Regex": "(("}, "behavior": "Removed", "invert": False})),
    _changed("H4", "special_token_without_id", _set("post_processor", "special_tokens", value={})),
    _changed("H4", "padding_beyond_the_vocabulary", _set("padding", "pad_id", value=7_000)),
)  # fmt: skip
