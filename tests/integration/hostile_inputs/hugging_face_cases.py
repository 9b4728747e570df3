"""Hostile folders of Hugging Face models."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.hugging_face_folders import write_fixture

from .cases import Case

FOLDER = Path("model")
CONFIG, WEIGHTS, INDEX = FOLDER / "config.json", FOLDER / "model.safetensors", FOLDER / "model.safetensors.index.json"
SHARD = "model-00001-of-1.safetensors"
WORDS = "embeddings.word_embeddings.weight"


def _case(row: str, name: str, change: Callable[[], Any], **keys: Any) -> Case:
    """The import of a folder of BERT, of which keys of the configuration and then a file are changed."""

    def write() -> None:
        write_fixture(FOLDER, "bert", **keys)
        change()

    return Case(row, name, write, ("import", "model"))


def _config(row: str, name: str, **keys: Any) -> Case:
    return _case(row, name, lambda: None, **keys)


def _text(row: str, name: str, old: str, new: str) -> Case:
    """A change of the text of the configuration."""
    return _case(row, name, lambda: CONFIG.write_text(CONFIG.read_text().replace(old, new)))


def _index(row: str, name: str, shard: str, index: Any = None) -> Case:
    """A shard, and an index that names another file for one of its tensors."""

    def change() -> None:
        WEIGHTS.rename(FOLDER / SHARD)
        weight_map = {WORDS: shard, "pooler.dense.bias": SHARD}
        INDEX.write_text(json.dumps({"weight_map": weight_map} if index is None else index))

    return _case(row, name, change)


def _bytes(row: str, name: str, make: Callable[[bytes], bytes]) -> Case:
    return _case(row, name, lambda: WEIGHTS.write_bytes(make(WEIGHTS.read_bytes())))


def _link() -> None:
    WEIGHTS.unlink()
    os.symlink("/etc/passwd", WEIGHTS)


def _pickle() -> None:
    WEIGHTS.unlink()
    (FOLDER / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n")


def _header(header: str) -> bytes:
    return len(header).to_bytes(8, "little") + header.encode()


OVERLAPPING = '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "b": {"dtype": "F32", "shape": [1], '
HUGE = f'{{"a": {{"dtype": "F32", "shape": [{1 << 40}, {1 << 40}], "data_offsets": [0, 4]}}}}'

HUGGING_FACE = (
    _text("F1", "nan", "1e-12", "NaN"),
    _text("F1", "infinity", "1e-12", "1e999"),
    _text("F1", "key_twice", '"vocab_size": 19', '"vocab_size": 19, "vocab_size": 20'),
    _config("F1", "text_for_a_number", hidden_size="8"),
    _config("F1", "layers_of_billions", num_hidden_layers=10**9),
    _config("F1", "size_beyond_int64", vocab_size=10**30),
    _config("F1", "list_for_the_type", model_type=["bert"]),
    _config("F2", "unknown_key", residual_multiplier=0.5),
    _config("F2", "code", auto_map={"AutoModel": "modeling_evil.Model"}),
    _config("F2", "quantized", quantization_config={"quant_method": "gptq"}),
    _config("F2", "unknown_type", model_type="berts"),
    _index("F3", "parent", "../secret.safetensors"),
    _index("F3", "absolute", "/etc/passwd"),
    _index("F3", "windows", "..\\secret.safetensors"),
    _case("F3", "link", _link),
    _index("F4", "absent_shard", "model-00002-of-2.safetensors"),
    _index("F4", "no_map", SHARD, []),
    _index("F4", "number_for_a_file", SHARD, {"weight_map": {WORDS: 7}}),
    _index("F4", "too_few_tensors", SHARD),
    _bytes("F5", "cut", lambda data: data[:-100]),
    _bytes("F5", "cut_in_the_header", lambda data: data[:100]),
    _bytes("F5", "huge_header", lambda data: (1 << 60).to_bytes(8, "little") + data[8:]),
    _bytes("F5", "huge_shape", lambda _: _header(HUGE) + bytes(4)),
    _bytes("F5", "overlap", lambda _: _header(f'{OVERLAPPING}"data_offsets": [0, 4]}}}}') + bytes(4)),
    _bytes("F5", "deep_header", lambda _: _header("[" * 100_000)),
    _case("F6", "pickle", _pickle),
    _index("F6", "pickle_in_the_index", "pytorch_model.bin"),
    _config("F7", "many_tokens", vocab_size=1 << 24),
    _config("F7", "many_layers", num_hidden_layers=1000),
    _config("F7", "wide", hidden_size=1 << 24, num_attention_heads=1 << 20, intermediate_size=1 << 24),
)
