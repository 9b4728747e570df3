"""Tokenizes texts by the package tokenizers, which alone reads and applies a `tokenizer.json`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from ...core.diagnostics import UsageError
from ...core.files.tokenizer_file import TOKENIZER_HELP, Tokenization, TokenizerFile
from ...core.system.optional_packages import require_package

MAX_LOADED_TOKENIZERS = 8
TEXTS_PER_CALL = 4096
"""Texts whose tokens, with all that the package knows of each, are in memory at once."""
SURROGATES = re.compile("[\ud800-\udfff]")


@lru_cache(MAX_LOADED_TOKENIZERS)
def load_tokenizer(file: TokenizerFile, name: str) -> Any:
    """The tokenizer of a file, without the padding and truncation that the file asks for.

    Raises UsageError `missing-package` without the package, `bad-data-file` for a file that it cannot read.
    """
    package = require_package("tokenizers", "text", "a Tokenizer")
    with _package_errors(f"{name!r} is no tokenizer", TOKENIZER_HELP):
        tokenizer = package.Tokenizer.from_str(file.content.decode())
        tokenizer.no_padding()
        tokenizer.no_truncation()
    return tokenizer


class TextTokenizer:
    """The tokens of texts or pairs of texts, as a Tokenizer layer asks for them."""

    def __init__(self, tokens: Tokenization) -> None:
        """Raises UsageError `missing-package`, `bad-data-file`; `bad-value` if the special tokens leave no place."""
        assert tokens.file is not None
        # Another one than that of other layers with the same file: truncation is a setting of the tokenizer.
        loaded = load_tokenizer(tokens.file, tokens.file_name)
        self._tokenizer = type(loaded).from_str(loaded.to_str())
        self._adds_special_tokens = tokens.adds_special_tokens
        self._file_name = tokens.file_name
        is_pair = len(tokens.texts) > 1
        special_count = self._tokenizer.num_special_tokens_to_add(is_pair) if tokens.adds_special_tokens else 0
        if tokens.max_length <= special_count:
            message = (
                f"the Tokenizer {tokens.call!r} has a max_length of {tokens.max_length}, and {tokens.file_name!r} "
            )
            raise UsageError("bad-value", f"{message}adds {special_count} special tokens to each text", "raise it")
        direction = "left" if tokens.truncates_start else "right"
        self._tokenizer.enable_truncation(tokens.max_length, strategy="longest_first", direction=direction)

    def encodings(self, texts: Sequence[Sequence[str]], with_offsets: bool) -> Iterator[Sequence[Any]]:
        """The encodings of texts, or of pairs, in parts: `texts` are the first ones, and perhaps the second ones."""
        tokenizer = self._tokenizer
        encode = tokenizer.encode_batch if with_offsets else tokenizer.encode_batch_fast
        for start in range(0, len(texts[0]), TEXTS_PER_CALL):
            parts = [[*map(_without_surrogates, part[start : start + TEXTS_PER_CALL])] for part in texts]
            batch = parts[0] if len(parts) == 1 else [*zip(*parts, strict=True)]
            with _package_errors(f"{self._file_name!r} cannot tokenize the texts", None):
                encoded: Sequence[Any] = encode(batch, add_special_tokens=self._adds_special_tokens)
            yield encoded


def _without_surrogates(text: str) -> str:
    """The text with U+FFFD in place of halves of UTF-16 pairs, which no Unicode text has."""
    return text if text.isascii() else SURROGATES.sub("\ufffd", text)


@contextmanager
def _package_errors(message: str, help: str | None) -> Iterator[None]:
    """Raises UsageError in place of what the package raises: an Exception, or the panic of its Rust code."""
    try:
        yield
    except UsageError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise UsageError("bad-data-file", f"{message}: {error}", help) from error
