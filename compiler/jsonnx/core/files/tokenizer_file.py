"""Texts as ids of tokens: the inputs of a model that a `Tokenizer` layer computes outside of the graph."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import IO, Any, NamedTuple

from ..diagnostics import UsageError
from ..limits import MAX_TOKENIZER_BYTES, MAX_TOKENIZER_VALUES
from ..types import TensorType

TOKENIZER_SUFFIX = "tokenizer.json"
"""How names of such files end, so that a copy in a RUN folder replaces no other file of a run."""
USUAL_PADDING_TOKENS = ("[PAD]", "<pad>", "<|pad|>", "<PAD>")
TOKENIZER_HELP = "the file is the one that `Tokenizer.save` of the package tokenizers writes, as beside models"


class TokenizerFile(NamedTuple):
    """The content of a `tokenizer.json`, and what a network has to know of it."""

    content: bytes
    sha256: str
    id_count: int
    """The greatest id of a token, plus 1."""
    padding_id: int


@dataclass(frozen=True)
class Tokenization:
    """A call of a Tokenizer layer: which texts it reads, and which inputs of the graph have its results."""

    call: str
    texts: tuple[str, ...]
    """The inputs of texts: one, or two for pairs."""
    inputs: Mapping[str, str]
    """The names of the inputs of the graph, by the name of the result."""
    max_length: int
    pads_to_max_length: bool
    truncates_start: bool
    adds_special_tokens: bool
    file: TokenizerFile | None = None
    """None of a model without its tokenizer: then the ids themselves are its data."""
    file_name: str = ""


def data_inputs(
    inputs: Mapping[str, TensorType], texts: Mapping[str, TensorType], tokenizations: Iterable[Tokenization]
) -> dict[str, TensorType]:
    """The inputs of the data: texts in place of those inputs of the graph that Tokenizers with a known file compute.

    `texts` are the inputs of texts that only Tokenizers read.
    """
    known = [tokens for tokens in tokenizations if tokens.file is not None]
    read = {text: texts[text] for tokens in known for text in tokens.texts if text in texts}
    computed = {name for tokens in known for name in tokens.inputs.values()}
    return {**read, **{name: type for name, type in inputs.items() if name not in computed}}


def read_tokenizer(file: IO[bytes], name: str) -> TokenizerFile:
    """Reads a tokenizer without the package. Raises UsageError `too-large`, `bad-data-file`."""
    content = file.read(MAX_TOKENIZER_BYTES + 1)
    if len(content) > MAX_TOKENIZER_BYTES:
        raise UsageError("too-large", f"{name!r} has more than {MAX_TOKENIZER_BYTES:,} bytes")
    if sum(map(content.count, (b"{", b"[", b","))) > MAX_TOKENIZER_VALUES:
        raise UsageError("too-large", f"{name!r} has more than {MAX_TOKENIZER_VALUES:,} values")
    try:
        document = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        reason = "its values are nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise _bad_tokenizer(name, reason) from error
    entries = _token_ids(document, name)
    if not entries:
        raise _bad_tokenizer(name, "it has no tokens")
    count = max(index for _, index in entries) + 1
    padding_id = _padding_id(document, dict(entries), count, name)
    return TokenizerFile(content, sha256(content).hexdigest(), count, padding_id)


def _token_ids(document: Any, name: str) -> list[tuple[str, int]]:
    """The tokens of the vocabulary, then the added ones, with their ids. Raises UsageError."""
    model = document.get("model") if isinstance(document, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), (dict, list)):
        raise _bad_tokenizer(name, "it has no `model` with a `vocab`")
    vocabulary, added = model["vocab"], document.get("added_tokens") or []
    entries = [*vocabulary.items()] if isinstance(vocabulary, dict) else _numbered(vocabulary)
    for token in added if isinstance(added, list) else [added]:
        entries.append((token.get("content"), token.get("id")) if isinstance(token, dict) else (None, None))
    for token, index in entries:
        if (
            not isinstance(token, str)
            or not isinstance(index, int)
            or isinstance(index, bool)
            or not 0 <= index < 1 << 31
        ):
            raise _bad_tokenizer(name, f"the token {str(token)[:40]!r} has the id {str(index)[:40]}")
    return entries


def _numbered(vocabulary: list[Any]) -> list[tuple[Any, Any]]:
    """The tokens of a list of tokens and scores, with their places."""
    tokens = (entry[0] if isinstance(entry, list) and entry else None for entry in vocabulary)
    return [(token, index) for index, token in enumerate(tokens)]


def _padding_id(document: Mapping[str, Any], ids: Mapping[str, int], count: int, name: str) -> int:
    """The id that pads: of the padding in the file, or else of a token that is usual for it, or else 0."""
    padding = document.get("padding")
    if isinstance(padding, dict) and "pad_id" in padding:
        index = padding["pad_id"]
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < count:
            raise _bad_tokenizer(name, f"it pads with the id {str(index)[:40]}, and has {count:,} ids")
        return index
    return next((ids[token] for token in USUAL_PADDING_TOKENS if token in ids), 0)


def _bad_tokenizer(name: str, reason: str) -> UsageError:
    return UsageError("bad-data-file", f"{name!r} is no tokenizer: {reason}", TOKENIZER_HELP)
