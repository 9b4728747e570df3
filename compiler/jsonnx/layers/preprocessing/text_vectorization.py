"""TextVectorization: text to indices of words, characters or n-grams."""

from __future__ import annotations

from string import punctuation
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ...core.components import ArrayCodec, IntegerCodec, UnionCodec, attr
from ...core.limits import MAX_NGRAM_TOKENS
from ...core.types import Dim, Size, TensorType, product, require
from ..base import layer
from .category_encoding import NO_SPARSE
from .lookup import (
    IDF_WEIGHTS_DOC,
    MAX_TOKENS_DOC,
    OUTPUT_MODE_DOC,
    PAD_TO_MAX_TOKENS_DOC,
    UTF8_ONLY,
    VOCABULARY_DOC,
    Lookup,
    LookupTable,
    Mode,
    StringVocabulary,
    canonical_output_mode,
)

if TYPE_CHECKING:
    from ...ir import Builder, Value

TOKENS_PER_TEXT = Size.named("text.tokens")
"""The number of tokens of a batch's longest text; the dot keeps the name distinct from sizes of inputs."""

TEXT_OPERATORS = 450
"""Operators that standardize and split texts, at most: a dozen for each punctuation mark."""

WHITESPACE = "\t\n\v\f\r"
"""Word separators other than the space."""

RAGGED = "Only false is supported: tensors in ONNX models are dense."

NgramSizes = Annotated[
    int | tuple[int, ...],
    UnionCodec(
        (lambda value: isinstance(value, (int, float)), IntegerCodec()),
        (lambda value: True, ArrayCodec(IntegerCodec())),
    ),
]


@layer
class TextVectorization(Lookup):
    """Maps texts to indices: standardizes them, splits them into tokens, joins n-grams and looks up a vocabulary.

    Index 0 pads short texts, index 1 represents out-of-vocabulary tokens. If no vocabulary is given, it is learned from
    the training data, most frequent tokens first. All operators are standard ONNX except for splitting into characters,
    which is an operator of onnxruntime. Only ASCII letters are lowercased, as in Keras.
    """

    max_tokens: int | None = attr(None, doc=MAX_TOKENS_DOC, minimum=2)
    standardize: Literal["lower_and_strip_punctuation", "lower", "strip_punctuation"] | None = attr(
        "lower_and_strip_punctuation", doc="How to standardize the text; null for no standardization."
    )
    split: Literal["whitespace", "character"] | None = attr(
        "whitespace", doc="How to split the text into tokens; null if each string is a token."
    )
    ngrams: NgramSizes | None = attr(
        None, doc="Sizes of the n-grams to use as tokens: a list, or a maximum; null for single tokens.", minimum=1
    )
    output_mode: Mode = attr("int", doc=OUTPUT_MODE_DOC)
    output_sequence_length: int | None = attr(
        None,
        doc="Number of indices per text, truncated or padded with 0; null for the longest text's number.",
        minimum=1,
    )
    pad_to_max_tokens: bool = attr(False, doc=PAD_TO_MAX_TOKENS_DOC)
    vocabulary: StringVocabulary | None = attr(None, doc=VOCABULARY_DOC)
    idf_weights: tuple[float, ...] | None = attr(None, doc=IDF_WEIGHTS_DOC)
    sparse: bool = attr(False, doc="Whether the result is a sparse tensor.", unsupported=NO_SPARSE)
    ragged: bool = attr(False, doc="Whether the result is a ragged tensor.", unsupported=RAGGED)
    encoding: str = attr("utf-8", doc="Encoding of the strings.", unsupported=UTF8_ONLY)

    @property
    def table(self) -> LookupTable:
        return LookupTable(
            dtype="string",
            mode=canonical_output_mode(self.output_mode),
            max_tokens=self.max_tokens,
            num_oov_indices=1,
            mask_token="",
            oov_token="[UNK]",
            vocabulary=self.vocabulary,
            idf_weights=self.idf_weights,
            pad_to_max_tokens=self.pad_to_max_tokens,
        )

    @property
    def _ngram_sizes(self) -> tuple[int, ...]:
        """The sizes of the n-grams."""
        if self.ngrams is None:
            return (1,)
        return tuple(range(1, self.ngrams + 1)) if isinstance(self.ngrams, int) else self.ngrams

    # -- types -------------------------------------------------------------------------------------------------------

    def infer(self, x: TensorType) -> TensorType:
        require(x.dtype == "string", f"needs strings, got {x}", 'give the input "dtype": "string"')
        self.table.check()
        self._check_ngrams()
        tokens = self._split_type(x) if self.split else self._unsplit_type(x)
        if self.table.mode != "int":
            require(
                self.output_sequence_length is None,
                "has an output_sequence_length, which only the output_mode int allows",
            )
            return self.table.infer(tokens)
        return TensorType("int64", (*tokens.shape[:-1], self.output_sequence_length or tokens.shape[-1]))

    def _check_ngrams(self) -> None:
        """Raises ShapeError if there are no n-grams, or too long ones: each of their tokens is an operator."""
        require(
            self.ngrams != (), "has no ngrams", "give at least one length, or null for single tokens", "out-of-range"
        )
        longest = self.ngrams if isinstance(self.ngrams, int) else max(self.ngrams or (1,))
        require(
            longest <= MAX_NGRAM_TOKENS,
            f"joins runs of {longest} tokens, the limit is {MAX_NGRAM_TOKENS}",
            code="too-large",
        )

    def _split_type(self, x: TensorType) -> TensorType:
        one_text = x.rank == 1 or (x.rank == 2 and x.shape[-1] == 1)
        require(one_text, f"splits one text per sample, got {x}", "give the input the shape [], or set split to null")
        help = 'use "multi_hot" or "count"'
        require(self.table.mode != "one_hot", "cannot encode split texts as one_hot: samples differ in length", help)
        return TensorType("string", (x.shape[0], TOKENS_PER_TEXT))

    def _unsplit_type(self, x: TensorType) -> TensorType:
        uses_last_axis = self.ngrams is not None or self.output_sequence_length is not None
        require(
            x.rank > 1 or not uses_last_axis,
            f"joins, truncates or pads along the last axis, but {x} has only a batch axis",
        )
        if self.ngrams is None:
            return x
        length = x.static_size(-1)
        count = sum(max(0, length - width + 1) for width in self._ngram_sizes)
        require(count > 0, f"has no n-grams of {self._ngram_sizes} tokens in {x}")
        return x.with_last(count)

    def max_operators(self) -> int:
        return super().max_operators() + TEXT_OPERATORS + sum(3 * width + 4 for width in self._ngram_sizes)

    # -- operators ---------------------------------------------------------------------------------------------------

    def lower(self, g: Builder, x: Value) -> Any:
        indices = self.table.lower(g, self.adapt_input(g, x))
        if self.table.mode != "int":
            return indices
        if self.split and len(self._ngram_sizes) > 1:
            indices = compact_rows(g, indices)
        length = self.output_sequence_length
        return indices if length is None else pad_or_truncate(g, indices, length)

    def adapt_input(self, g: Builder, x: Value) -> Value:
        """Emits the tokens, with rows padded by empty strings."""
        shape = x.shape
        flat = x if x.rank == 1 else g.refine(g.Reshape(x, [-1]), (product(shape[:1] if self.split else shape),))
        flat = self._standardize(g, flat)
        if self.split is None:
            tokens = flat if x.rank == 1 else g.refine(g.Reshape(flat, g.Shape(x)), shape)
        elif self.split == "character":
            tokens = split_characters(g, flat)
        else:
            for separator in WHITESPACE:
                flat = replace_substring(g, flat, separator, " ")
            tokens = g.refine(g.StringSplit(flat, outputs=2)[0], (shape[0], TOKENS_PER_TEXT))
        return tokens if self.ngrams is None else self._join_ngrams(g, tokens)

    def _standardize(self, g: Builder, x: Value) -> Value:
        """Lowercases ASCII letters and strips ASCII punctuation, as in Keras."""
        steps = self.standardize or ""
        if "lower" in steps:
            x = g.refine(g.StringNormalizer(x, case_change_action="LOWER", locale="C"), x.shape)
        for mark in punctuation if "strip" in steps else "":
            x = replace_substring(g, x, mark, "")
        return x

    def _join_ngrams(self, g: Builder, tokens: Value) -> Value:
        """Emits n-grams, in the order of the sizes; n-grams that extend into the padding are empty."""
        parts = [join_ngrams(g, tokens, width, keep_empty=self.split is None) for width in self._ngram_sizes]
        return parts[0] if len(parts) == 1 else g.Concat(*parts, axis=-1)


def replace_substring(g: Builder, x: Value, substring: str, replacement: str) -> Value:
    """Replaces a substring in a vector of texts. If `replacement` is a space, one is also added at both ends."""
    pieces = g.StringSplit(x, delimiter=substring, outputs=2)[0]
    pieces = g.Unsqueeze(g.Transpose(pieces, perm=[1, 0]), [1])
    empty = g.refine(g.Expand(g.const([""], "string"), g.Shape(x)), x.shape)
    pieces = g.Concat(g.Unsqueeze(empty, [0, 1]), pieces, axis=0)  # a Scan needs at least one step

    def step(g: Builder, states: Any, slices: Any) -> tuple[list[Value], list[Value]]:
        """Appends a piece. onnxruntime 1.32 writes into the state's buffer, so the result is copied by Squeeze."""
        longer = g.StringConcat(states[0], slices[0])
        longer = g.StringConcat(longer, g.const(replacement, "string")) if replacement else longer
        return [g.refine(g.Squeeze(longer, [0]), x.shape)], []

    return g.loop(step, [empty], [pieces])[0][0]


def split_characters(g: Builder, x: Value) -> Value:
    """Splits texts into characters, with rows padded by empty strings."""
    type = TensorType("string", (x.shape[0], TOKENS_PER_TEXT))
    return g.custom_op("Tokenizer", "com.microsoft", [x], type, mark=0, mincharnum=1, pad_value="", separators=[""])


def join_ngrams(g: Builder, tokens: Value, width: int, *, keep_empty: bool) -> Value:
    """Joins `width` consecutive tokens along the last axis with spaces; n-grams into the padding are empty."""
    if width == 1:
        return tokens
    length = tokens.shape[-1]
    count: Dim = length - (width - 1)
    count = max(count, 0) if isinstance(count, int) else count
    end = 2**62
    parts = [
        g.refine(
            g.Slice(tokens, [start], [start - width + 1 if start < width - 1 else end], [-1]),
            (*tokens.shape[:-1], count),
        )
        for start in range(width)
    ]
    ngrams = parts[0]
    for part in parts[1:]:
        ngrams = g.StringConcat(g.StringConcat(ngrams, g.const(" ", "string")), part)
    if keep_empty:
        return ngrams
    return g.Where(g.Equal(parts[-1], g.const("", "string")), g.const("", "string"), ngrams)


def compact_rows(g: Builder, x: Value) -> Value:
    """Moves each row's nonzero elements to the front; the longest row gives the number of columns."""
    is_token = g.cast(g.Greater(x, 0), "int64")
    positions = g.CumSum(is_token, g.const(1, "int64"))
    width = g.Shape(x, start=1, end=2)
    shape = g.Concat(g.Shape(x, start=0, end=1), g.Add(width, 1), axis=0)
    targets = g.Mul(positions, is_token)  # zeros go to column 0, which is dropped
    filled = g.ScatterElements(g.Expand(g.const([0], "int64"), shape), targets, x, axis=1, reduction="max")
    longest = g.Reshape(
        g.ReduceMax(g.Concat(g.const([0], "int64"), g.Reshape(positions, [-1]), axis=0), keepdims=0), [1]
    )
    return g.refine(g.Slice(filled, [1], g.Add(longest, 1), [1]), (x.shape[0], TOKENS_PER_TEXT))


def pad_or_truncate(g: Builder, x: Value, length: int) -> Value:
    """Truncates or pads the last axis to `length`."""
    zeros = g.Expand(g.const([0], "int64"), g.Concat(g.Shape(x, end=-1), g.const([length], "int64"), axis=0))
    padded = g.Concat(x, zeros, axis=-1)
    return g.refine(g.Slice(padded, [0], [length], [-1]), (*x.shape[:-1], length))
