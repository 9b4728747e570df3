"""Random mutations of tokenizers are either read, or errors of files."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.core.files.tokenizer_file import Tokenization, read_tokenizer
from jsonnx.data.samples.text_tokens import tokens_of
from jsonnx.data.texts.text_tokenizer import load_tokenizer
from support.small_tokenizers import KINDS, TEXTS

MUTATIONS = 150
INPUTS = {"input_ids": "input_ids", "attention_mask": "attention_mask"}


def mutated(content: bytes, rng: random.Random) -> bytes:
    """A tokenizer with a few bytes changed, left out, or repeated."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(changed))
        kind = rng.randrange(3)
        if kind == 0:
            changed[start] = rng.choice(b'0123456789{}[]",:-ntf\\ ')
        elif kind == 1:
            del changed[start : start + rng.randint(1, 40)]
        else:
            changed[start:start] = changed[start : start + rng.randint(1, 40)]
    return bytes(changed)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutated_tokenizer_is_read_or_an_error(kind: str) -> None:
    rng, content, outcomes = random.Random(0), KINDS[kind]().to_str().encode(), set()
    texts = np.array(TEXTS, object)
    for changed in (content, *(mutated(content, rng) for _ in range(MUTATIONS))):
        try:
            file = read_tokenizer(io.BytesIO(changed), "tokenizer.json")
            load_tokenizer(file, "tokenizer.json")
            tokens = Tokenization("tokens", ("text",), INPUTS, 16, False, False, True, file, "tokenizer.json")
            ids = tokens_of({"text": texts}, [tokens])["input_ids"]
            assert ids.steps.max(initial=0) < file.id_count
            outcomes.add("read")
        except UsageError as error:
            outcomes.add(error.diagnostic.code)
    assert outcomes == {"read", "bad-data-file"}
