"""TextVectorization: text to numbers of words, characters or runs of them."""

from __future__ import annotations

from string import punctuation
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ...core.components import ArrayCodec, IntegerCodec, UnionCodec, attr
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
"""How many tokens the longest text of a batch has; with a point, so that no size of an input is called so."""

WHITESPACE = "\t\n\v\f\r"
"""What separates words beside the space."""

RAGGED = "Only false is supported: tensors of ONNX models are dense."

NgramSizes = Annotated[
    int | tuple[int, ...],
    UnionCodec(
        (lambda value: isinstance(value, (int, float)), IntegerCodec()),
        (lambda value: True, ArrayCodec(IntegerCodec())),
    ),
]


MAX_NGRAM_TOKENS = 100
"""Tokens that may be joined to one."""


@layer
class TextVectorization(Lookup):
    """Texts to numbers: standardized, split into tokens, joined to n-grams, and looked up in a vocabulary.

    Number 0 pads short texts, number 1 stands for tokens that are not in the vocabulary. A vocabulary that is not given
    is learned from the training data, the most frequent tokens first. All is standard ONNX but splitting into
    characters, which is an operator of onnxruntime. Letters are lowered as ASCII has them, as in Keras.
    """

    max_tokens: int | None = attr(None, doc=MAX_TOKENS_DOC, minimum=2)
    standardize: Literal["lower_and_strip_punctuation", "lower", "strip_punctuation"] | None = attr(
        "lower_and_strip_punctuation", doc="What is done to the text first; null for nothing."
    )
    split: Literal["whitespace", "character"] | None = attr(
        "whitespace", doc="What separates tokens; null where each string is one."
    )
    ngrams: NgramSizes | None = attr(
        None, doc="Runs of up to so many tokens, or of each of these numbers, become the tokens.", minimum=1
    )
    output_mode: Mode = attr("int", doc=OUTPUT_MODE_DOC)
    output_sequence_length: int | None = attr(
        None, doc="Numbers a text, cut or padded with 0; null for as many as the longest has.", minimum=1
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
            "string",
            canonical_output_mode(self.output_mode),
            self.max_tokens,
            1,
            "",
            "[UNK]",
            self.vocabulary,
            self.idf_weights,
            self.pad_to_max_tokens,
        )

    @property
    def _ngram_sizes(self) -> tuple[int, ...]:
        """How many tokens are joined to one."""
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
            require(self.output_sequence_length is None, "has an output_sequence_length, which is for integers alone")
            return self.table.infer(tokens)
        return TensorType("int64", (*tokens.shape[:-1], self.output_sequence_length or tokens.shape[-1]))

    def _check_ngrams(self) -> None:
        """Every token of a run is an operator."""
        longest = self.ngrams if isinstance(self.ngrams, int) else max(self.ngrams or (1,))
        require(
            longest <= MAX_NGRAM_TOKENS,
            f"joins runs of {longest} tokens, the limit is {MAX_NGRAM_TOKENS}",
            code="too-large",
        )

    def _split_type(self, x: TensorType) -> TensorType:
        one = x.rank == 1 or (x.rank == 2 and x.shape[-1] == 1)
        require(one, f"splits one text a sample, got {x}", "give the input the shape [], or set split to null")
        help = 'use "multi_hot" or "count"'
        require(self.table.mode != "one_hot", "cannot encode as one_hot what it splits: samples differ in length", help)
        return TensorType("string", (x.shape[0], TOKENS_PER_TEXT))

    def _unsplit_type(self, x: TensorType) -> TensorType:
        along = self.ngrams is not None or self.output_sequence_length is not None
        require(x.rank > 1 or not along, f"joins, cuts or pads along the last axis, and {x} has the batch's alone")
        if self.ngrams is None:
            return x
        length = x.static_size(-1)
        count = sum(max(0, length - width + 1) for width in self._ngram_sizes)
        require(count > 0, f"has no runs of {self._ngram_sizes} tokens in {x}")
        return x.with_last(count)

    # -- operators ---------------------------------------------------------------------------------------------------

    def lower(self, g: Builder, x: Value) -> Any:
        found = self.table.lower(g, self.adapt_input(g, x))
        if self.table.mode != "int":
            return found
        if self.split and len(self._ngram_sizes) > 1:
            found = compact_rows(g, found)
        return found if self.output_sequence_length is None else pad_or_truncate(g, found, self.output_sequence_length)

    def adapt_input(self, g: Builder, x: Value) -> Value:
        """The tokens, in rows that are padded with empty strings."""
        shape = x.shape
        flat = x if x.rank == 1 else g.refine(g.Reshape(x, [-1]), (product(shape[:1] if self.split else shape),))
        flat = self._standardize(g, flat)
        if self.split is None:
            tokens = flat if x.rank == 1 else g.refine(g.Reshape(flat, g.Shape(x)), shape)
        elif self.split == "character":
            tokens = split_characters(g, flat)
        else:
            for mark in WHITESPACE:
                flat = replace_substring(g, flat, mark, " ")
            tokens = g.refine(g.StringSplit(flat, outputs=2)[0], (shape[0], TOKENS_PER_TEXT))
        return tokens if self.ngrams is None else self._join_ngrams(g, tokens)

    def _standardize(self, g: Builder, x: Value) -> Value:
        """Only what ASCII calls letters and punctuation, as in Keras."""
        steps = self.standardize or ""
        if "lower" in steps:
            x = g.refine(g.StringNormalizer(x, case_change_action="LOWER", locale="C"), x.shape)
        for mark in punctuation if "strip" in steps else "":
            x = replace_substring(g, x, mark, "")
        return x

    def _join_ngrams(self, g: Builder, tokens: Value) -> Value:
        """Runs of tokens, in the order of their lengths; runs into the padding are empty."""
        parts = [join_ngrams(g, tokens, width, keep_empty=self.split is None) for width in self._ngram_sizes]
        return parts[0] if len(parts) == 1 else g.Concat(*parts, axis=-1)


def replace_substring(g: Builder, x: Value, substring: str, replacement: str) -> Value:
    """A vector of texts with another string in the place of every mark.

    Where `replacement` is a space, spaces are added at the beginning and at the end as well.
    """
    pieces = g.StringSplit(x, delimiter=substring, outputs=2)[0]
    pieces = g.Unsqueeze(g.Transpose(pieces, perm=[1, 0]), [1])
    empty = g.refine(g.Expand(g.const([""], "string"), g.Shape(x)), x.shape)
    pieces = g.Concat(g.Unsqueeze(empty, [0, 1]), pieces, axis=0)  # a Scan has a step at least

    def step(g: Builder, states: Any, slices: Any) -> tuple[list[Value], list[Value]]:
        """onnxruntime 1.32 adds to what its buffer of a state holds already, so that the state is a copy."""
        longer = g.StringConcat(states[0], slices[0])
        longer = g.StringConcat(longer, g.const(replacement, "string")) if replacement else longer
        return [g.refine(g.Squeeze(longer, [0]), x.shape)], []

    return g.loop(step, [empty], [pieces])[0][0]


def split_characters(g: Builder, x: Value) -> Value:
    """The characters of texts, in rows that are padded with empty strings."""
    type = TensorType("string", (x.shape[0], TOKENS_PER_TEXT))
    return g.custom_op("Tokenizer", "com.microsoft", [x], type, mark=0, mincharnum=1, pad_value="", separators=[""])


def join_ngrams(g: Builder, tokens: Value, width: int, *, keep_empty: bool) -> Value:
    """Runs of `width` tokens along the last axis, a space between them; none reaches into the padding."""
    if width == 1:
        return tokens
    length = tokens.shape[-1]
    count: Dim = length - (width - 1)
    count = max(count, 0) if isinstance(count, int) else count
    last = 2**62
    parts = [
        g.refine(
            g.Slice(tokens, [start], [start - width + 1 if start < width - 1 else last], [-1]),
            (*tokens.shape[:-1], count),
        )
        for start in range(width)
    ]
    run = parts[0]
    for part in parts[1:]:
        run = g.StringConcat(g.StringConcat(run, g.const(" ", "string")), part)
    if keep_empty:
        return run
    return g.Where(g.Equal(parts[-1], g.const("", "string")), g.const("", "string"), run)


def compact_rows(g: Builder, x: Value) -> Value:
    """Every row's numbers other than 0 without gaps, in their order; as many columns as the longest row needs."""
    some = g.cast(g.Greater(x, 0), "int64")
    places = g.CumSum(some, g.const(1, "int64"))
    width = g.Shape(x, start=1, end=2)
    shape = g.Concat(g.Shape(x, start=0, end=1), g.Add(width, 1), axis=0)
    targets = g.Mul(places, some)  # a gap's is 0, one before the first
    filled = g.ScatterElements(g.Expand(g.const([0], "int64"), shape), targets, x, axis=1, reduction="max")
    longest = g.Reshape(g.ReduceMax(g.Concat(g.const([0], "int64"), g.Reshape(places, [-1]), axis=0), keepdims=0), [1])
    return g.refine(g.Slice(filled, [1], g.Add(longest, 1), [1]), (x.shape[0], TOKENS_PER_TEXT))


def pad_or_truncate(g: Builder, x: Value, length: int) -> Value:
    """The first numbers of every row, 0 where there are none."""
    zeros = g.Expand(g.const([0], "int64"), g.Concat(g.Shape(x, end=-1), g.const([length], "int64"), axis=0))
    whole = g.Concat(x, zeros, axis=-1)
    return g.refine(g.Slice(whole, [0], [length], [-1]), (*x.shape[:-1], length))
