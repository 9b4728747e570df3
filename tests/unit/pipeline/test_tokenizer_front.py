"""A Tokenizer before a network that takes ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.pipeline.compile.tokenizer_front import with_tokenizer
from support.small_tokenizers import word_piece
from tokenizers import Tokenizer

INT = {"shape": ["sequence"], "dtype": "int64"}
BERT: dict[str, Any] = {
    "inputs": {"input_ids": INT, "attention_mask": INT, "token_type_ids": INT},
    "layers": [
        {"type": "Embedding", "name": "words", "input_dim": 200, "output_dim": 8, "from": "input_ids"},
        {"type": "PositionEmbedding", "name": "positions", "sequence_length": 32},
        {"type": "Embedding", "name": "types", "input_dim": 2, "output_dim": 8, "from": "token_type_ids"},
        {"type": "Add", "name": "sum", "from": ["words", "positions", "types"]},
        {"type": "LayerNormalization", "name": "x"},
        {"type": "ops.expand_dims", "name": "mask", "axis": 1, "from": "attention_mask"},
        {
            "type": "MultiHeadAttention",
            "name": "attention",
            "num_heads": 2,
            "key_dim": 4,
            "from": ["x", "x", "mask"],
            "arguments": ["query", "value", "attention_mask"],
        },
        {"type": "ops.get_item", "name": "cls", "key": [":", 0]},
        {"type": "Dense", "name": "y", "units": 3},
    ],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    word_piece().save("tokenizer.json")


def test_texts_give_what_their_ids_give() -> None:
    texts = ["a man is eating food", "food", "don't, won't"]
    with_texts = jsonnx.compile(with_tokenizer(BERT, "text", "tokenizer.json", 32), weights=None)
    weights = with_texts.weights
    with_ids = jsonnx.Session(jsonnx.compile(BERT, weights=weights))
    tokenizer = Tokenizer.from_file("tokenizer.json")
    tokenizer.no_truncation()
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch(texts)
    names = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    feeds = {name: np.array([getattr(each, key) for each in encoded]) for name, key in names.items()}
    np.testing.assert_allclose(
        jsonnx.Session(with_texts).run(texts)["y"], with_ids.run(feeds)["y"], rtol=1e-5, atol=1e-6
    )


def test_a_network_without_ids_takes_no_tokenizer() -> None:
    document = {"inputs": {"x": {"shape": [3]}}, "layers": [{"type": "Dense", "units": 1}]}
    with pytest.raises(UsageError, match="no input 'input_ids'"):
        with_tokenizer(document, "text", "tokenizer.json")
    taken = {**BERT, "inputs": {**BERT["inputs"], "text": {"shape": []}}}
    with pytest.raises(UsageError, match="'text'"):
        with_tokenizer(taken, "text", "tokenizer.json")
    with pytest.raises(UsageError, match="'words'"):
        with_tokenizer(BERT, "words", "tokenizer.json")
