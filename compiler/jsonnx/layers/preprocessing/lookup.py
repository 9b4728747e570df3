"""StringLookup and IntegerLookup: tokens to indices, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from ...core.components import ArrayCodec, IntegerCodec, Json, ScalarCodec, attr
from ...core.limits import require_constant_size
from ...core.types import Size, TensorType, require
from ...training.weights.initializers import Zeros
from ..base import layer
from .adaptable import Adaptable
from .category_encoding import NO_SPARSE, encode_categories, encoded_type

if TYPE_CHECKING:
    import numpy as np

    from ...ir import Builder, State, Value

Mode = Literal["int", "one_hot", "multi_hot", "count", "tf_idf", "binary", "tf-idf"]
OUTPUT_MODE_DOC = (
    "`int` for indices, `one_hot` for a vector per token, `multi_hot` (or `binary`) and `count` for one per sample, "
    "`tf_idf` for counts times `idf_weights`."
)
MAX_TOKENS_DOC = "Maximum size of the vocabulary, including mask and out-of-vocabulary tokens; null for no limit."
PAD_TO_MAX_TOKENS_DOC = "Whether vectors have size `max_tokens` even if the vocabulary is smaller."
VOCABULARY_DOC = (
    "The tokens, or a file with one token per line, or one with word vectors, whose first `max_tokens` tokens are "
    "taken; null to learn them from the training data."
)
IDF_WEIGHTS_DOC = "Inverse document frequency of each token, for `tf_idf`."
UTF8_ONLY = "Only UTF-8 is supported: strings in ONNX are UTF-8."
NO_HASHING = "ONNX has no hash function, so out-of-vocabulary tokens cannot be hashed."


class VocabularyCodec:
    """Codec of a list of tokens, or of a file path that is replaced by the file's tokens before the layer is built."""

    def __init__(self, token: ScalarCodec) -> None:
        self.tokens = ArrayCodec(token)

    def schema(self) -> dict[str, Json]:
        return {"anyOf": [{"type": "string"}, self.tokens.schema() | {"minItems": 1}]}

    def read(self, value: Json) -> Any:
        return value if isinstance(value, str) else self.tokens.read(value)

    def write(self, value: Any) -> Json:
        return value if isinstance(value, str) else self.tokens.write(value)


StringVocabulary = Annotated[Any, VocabularyCodec(ScalarCodec(type="string"))]
IntegerVocabulary = Annotated[Any, VocabularyCodec(IntegerCodec())]


class LookupTable(NamedTuple):
    """The lookup common to all layers with a vocabulary, like Keras' IndexLookup.

    The first indices stand for the mask token (0, in mode `int`) and for out-of-vocabulary tokens.
    """

    dtype: str
    mode: str
    max_tokens: int | None
    num_oov_indices: int
    mask_token: Any
    oov_token: Any
    vocabulary: Any
    idf_weights: tuple[float, ...] | None
    pad_to_max_tokens: bool
    invert: bool = False

    @property
    def num_mask_indices(self) -> int:
        """The number of indices of the mask token: 1 or 0."""
        return int(self.mask_token is not None and self.mode == "int")

    @property
    def first_token_index(self) -> int:
        """The index of the first regular token."""
        return self.num_mask_indices + self.num_oov_indices

    @property
    def special_tokens(self) -> list[Any]:
        return [self.mask_token] * self.num_mask_indices + [self.oov_token] * self.num_oov_indices

    @property
    def includes_special_tokens(self) -> bool:
        """Whether the given vocabulary starts with the special tokens."""
        return (
            self.first_token_index <= len(self.vocabulary)
            and list(self.vocabulary[: self.first_token_index]) == self.special_tokens
        )

    @property
    def tokens(self) -> Sequence[Any]:
        """The given tokens without special tokens."""
        return list(self.vocabulary[self.first_token_index if self.includes_special_tokens else 0 :])

    @property
    def depth(self) -> int:
        """The size of encoded vectors."""
        return self.max_tokens or 0 if self.pad_to_max_tokens else self.first_token_index + len(self.tokens)

    @property
    def max_size(self) -> int | None:
        """The number of indices; None if it is unknown before training."""
        return self.max_tokens if self.vocabulary is None else self.first_token_index + len(self.tokens)

    # -- validation --------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises ShapeError if the arguments contradict each other, or are not supported."""
        require(not self.pad_to_max_tokens or self.max_tokens is not None, "has pad_to_max_tokens without max_tokens")
        if self.max_tokens is not None:
            minimum = self.first_token_index + 1
            require(self.max_tokens >= minimum, f"has max_tokens {self.max_tokens}, needs at least {minimum}")
        allowed = self.mode == "int" or not self.invert
        require(allowed, f'inverts with the output_mode {self.mode!r}, which only "int" allows')
        allowed = self.idf_weights is None or self.mode == "tf_idf"
        require(allowed, f"has idf_weights, which the output_mode {self.mode!r} does not use")
        if self.vocabulary is not None:
            self._check_vocabulary()
        else:
            allowed = self.idf_weights is None
            require(allowed, "has idf_weights without a vocabulary", "give both, or neither to learn them")
            known_size = self.mode == "int" or self.pad_to_max_tokens
            help = 'say "max_tokens": N and "pad_to_max_tokens": true, or give the vocabulary'
            require(known_size, "learns its tokens, so that the size of its vectors is not known before training", help)

    def _check_vocabulary(self) -> None:
        tokens = self.tokens
        is_list = not isinstance(self.vocabulary, str)
        text = f"has {self.vocabulary!r} as its vocabulary, a file that is not read here"
        require(is_list, text, "give a list of tokens")
        require(len(tokens) > 0, "has a vocabulary with special tokens only")
        seen: set[Any] = set()
        duplicate = next((token for token in tokens if token in seen or seen.add(token)), None)  # type: ignore[func-returns-value]
        require(duplicate is None, f"has {duplicate!r} twice in its vocabulary", "keep one of them")
        help = "leave special tokens out, or begin with all of them"
        help = help if self.first_token_index > 9 else f"{help}: {self.special_tokens}"
        require(
            self.mask_token is None or self.mask_token not in tokens,
            f"has its mask token {self.mask_token!r} as a token",
            help,
        )
        conflict = self.invert and self.oov_token in tokens
        require(not conflict, f"has its oov_token {self.oov_token!r} as a token", help)
        size = self.first_token_index + len(tokens)
        fits = self.max_tokens is None or size <= self.max_tokens
        require(fits, f"has {size} tokens including special ones, more than max_tokens {self.max_tokens}")
        if self.mode == "tf_idf":
            weights = self.idf_weights
            require(weights is not None, "needs idf_weights for its vocabulary with tf_idf")
            same = weights is not None and len(weights) == len(self.vocabulary)
            require(same, f"has {len(weights or ())} idf_weights for {len(self.vocabulary)} tokens")

    def infer(self, x: TensorType) -> TensorType:
        if self.invert:
            return x.with_dtype(self.dtype)
        return x.with_dtype("int64") if self.mode == "int" else encoded_type(x, self.vector_mode, self.depth)

    @property
    def vector_mode(self) -> str:
        """The encoding before idf weights are applied."""
        return "count" if self.mode == "tf_idf" else self.mode

    # -- operators ---------------------------------------------------------------------------------------------------

    def lower(self, g: Builder, x: Value) -> Value:
        tokens: State | Sequence[Any] = (
            g.state("vocabulary", (Size.named("tokens"),), Zeros(), self.dtype)
            if self.vocabulary is None
            else self.tokens
        )
        if self.invert:
            masked = [self.mask_token, 0] if self.num_mask_indices else []
            default = self.oov_token
            return g.lookup(
                x, tokens, dtype=self.dtype, first=self.first_token_index, special=masked, default=default, invert=True
            )
        special = [] if self.mask_token is None else [self.mask_token, 0 if self.mode == "int" else DROPPED_INDEX]
        default = self.num_mask_indices if self.num_oov_indices == 1 else UNKNOWN_INDEX
        index = g.lookup(x, tokens, dtype=self.dtype, first=self.first_token_index, special=special, default=default)
        if self.num_oov_indices > 1:
            oov_index = g.Add(g.Mod(x, self.num_oov_indices), self.num_mask_indices)
            index = g.Where(g.Equal(index, UNKNOWN_INDEX), oov_index, index)
        if self.num_oov_indices == 0:
            index = self._reject_unknown(g, index)
        if self.mode == "int":
            return index
        counts = encode_categories(g, index, self.vector_mode, self.depth)
        return g.Mul(counts, self._idf_vector(g)) if self.mode == "tf_idf" else counts

    def _reject_unknown(self, g: Builder, index: Value) -> Value:
        """The indices; a Gather that is out of bounds makes onnxruntime fail if any token is unknown."""
        is_unknown = g.cast(g.Equal(index, UNKNOWN_INDEX), "int64")
        return g.Add(index, g.Gather(g.const([0], "int64"), is_unknown))

    def _idf_vector(self, g: Builder) -> Value:
        """The weight of each index; unknown tokens get the mean weight."""
        if self.vocabulary is None:
            return g.state("idf_weights", (self.depth,), Zeros())
        require_constant_size(f"needs the weights of {self.depth} indices", self.depth)
        weights = list(self.idf_weights or ())
        if not self.includes_special_tokens:
            weights = [sum(weights) / len(weights)] * self.first_token_index + weights
        return g.const([*weights, *[0.0] * (self.depth - len(weights))])

    def adapt(self, batches: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        from .adapt_numpy import frequent_tokens

        special_tokens = {token for token in (self.mask_token, self.oov_token) if token is not None}
        max_regular_tokens = None if self.max_tokens is None else self.max_tokens - self.first_token_index
        tokens, weights = frequent_tokens(batches, special_tokens, max_regular_tokens)
        if self.dtype != "string":
            tokens = tokens.astype("int64")
        if self.mode != "tf_idf":
            return {"vocabulary": tokens}
        from numpy import full, zeros

        mean = weights.mean(dtype="float32") if len(weights) else 0.0
        idf = zeros(self.depth, "float32")
        idf[: self.first_token_index + len(weights)] = [*full(self.first_token_index, mean), *weights]
        return {"vocabulary": tokens, "idf_weights": idf}


UNKNOWN_INDEX, DROPPED_INDEX = -1, -2
"""Indices of unknown and dropped tokens during the lookup; they do not occur in the output."""


def canonical_output_mode(name: str) -> str:
    """The current name of an output mode."""
    return {"binary": "multi_hot", "tf-idf": "tf_idf"}.get(name, name)


def require_no_hash(uses_hash: bool, argument: str, help: str) -> None:
    require(not uses_hash, f"has {argument}: ONNX has no operator that hashes", help, code="not-expressible")


class Lookup(Adaptable):
    """Base class of layers with a vocabulary, which is learned from the data if it is not given."""

    if TYPE_CHECKING:
        vocabulary: Any

    @property
    def table(self) -> LookupTable:
        """The layer's lookup table."""
        raise NotImplementedError

    @property
    def needs_adapt(self) -> bool:
        return self.vocabulary is None

    def adapt(self, batches: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        return self.table.adapt(batches)


class TokenLookup(Lookup):
    """Base class of layers that map tokens to indices, or indices to tokens with `invert`."""

    token_dtype: ClassVar[str]
    """The element type of tokens."""

    if TYPE_CHECKING:
        max_tokens: int | None
        num_oov_indices: int
        mask_token: Any
        oov_token: Any
        idf_weights: tuple[float, ...] | None
        invert: bool
        output_mode: Mode
        pad_to_max_tokens: bool

    @property
    def table(self) -> LookupTable:
        return LookupTable(
            dtype=self.token_dtype,
            mode=canonical_output_mode(self.output_mode),
            max_tokens=self.max_tokens,
            num_oov_indices=self.num_oov_indices,
            mask_token=self.mask_token,
            oov_token=self.oov_token,
            vocabulary=self.vocabulary,
            idf_weights=self.idf_weights,
            pad_to_max_tokens=self.pad_to_max_tokens,
            invert=self.invert,
        )


@layer
class StringLookup(TokenLookup):
    """Maps strings to indices of a vocabulary, or indices to strings with `invert`.

    If no vocabulary is given, it is learned from the training data, most frequent tokens first.
    """

    token_dtype = "string"

    max_tokens: int | None = attr(None, doc=MAX_TOKENS_DOC, minimum=2)
    num_oov_indices: int = attr(
        1, doc="Number of indices for out-of-vocabulary tokens: 1, or 0 to reject them.", minimum=0
    )
    mask_token: str | None = attr(None, doc="Token for missing values: it has index 0 and is ignored in vectors.")
    oov_token: str | None = attr("[UNK]", doc="Token returned for unknown indices with `invert`.")
    vocabulary: StringVocabulary | None = attr(None, doc=VOCABULARY_DOC)
    idf_weights: tuple[float, ...] | None = attr(None, doc=IDF_WEIGHTS_DOC)
    invert: bool = attr(False, doc="Whether to map indices to tokens.")
    output_mode: Mode = attr("int", doc=OUTPUT_MODE_DOC)
    pad_to_max_tokens: bool = attr(False, doc=PAD_TO_MAX_TOKENS_DOC)
    sparse: bool = attr(False, doc="Whether the result is a sparse tensor.", unsupported=NO_SPARSE)
    encoding: str = attr("utf-8", doc="Encoding of the strings.", unsupported=UTF8_ONLY)
    salt: int | None = attr(None, doc="Salt of the hash of out-of-vocabulary tokens.", unsupported=NO_HASHING)
    oov_method: str = attr("floormod", doc="Assignment of out-of-vocabulary tokens to indices.", unsupported=NO_HASHING)

    def infer(self, x: TensorType) -> TensorType:
        help = "set num_oov_indices to 1"
        require_no_hash(self.num_oov_indices > 1, f"num_oov_indices {self.num_oov_indices}", help)
        dtype_prefix = "int" if self.invert else "string"
        require(x.dtype.startswith(dtype_prefix), f"needs {'integers' if self.invert else 'strings'}, got {x}")
        require(not self.invert or self.oov_token is not None, "inverts without an oov_token")
        self.table.check()
        return self.table.infer(x)

    def lower(self, g: Builder, x: Value) -> Any:
        return self.table.lower(g, g.cast(x, "int64") if self.invert else x)

    def adapt_input(self, g: Builder, x: Value) -> Value:
        return x


@layer
class IntegerLookup(TokenLookup):
    """Maps integers to indices of a vocabulary, or indices to integers with `invert`.

    Out-of-vocabulary integers get the index `x mod num_oov_indices`, offset by the mask token's index. If no vocabulary
    is given, it is learned from the training data, most frequent tokens first.
    """

    token_dtype = "int64"

    max_tokens: int | None = attr(None, doc=MAX_TOKENS_DOC, minimum=2)
    num_oov_indices: int = attr(1, doc="Number of indices for out-of-vocabulary tokens; 0 to reject them.", minimum=0)
    mask_token: int | None = attr(None, doc="Token for missing values: it has index 0 and is ignored in vectors.")
    oov_token: int | None = attr(-1, doc="Token returned for unknown indices with `invert`.")
    vocabulary: IntegerVocabulary | None = attr(None, doc=VOCABULARY_DOC)
    vocabulary_dtype: Literal["int64"] = attr("int64", doc="Element type of the tokens.")
    idf_weights: tuple[float, ...] | None = attr(None, doc=IDF_WEIGHTS_DOC)
    invert: bool = attr(False, doc="Whether to map indices to tokens.")
    output_mode: Mode = attr("int", doc=OUTPUT_MODE_DOC)
    sparse: bool = attr(False, doc="Whether the result is a sparse tensor.", unsupported=NO_SPARSE)
    pad_to_max_tokens: bool = attr(False, doc=PAD_TO_MAX_TOKENS_DOC)
    oov_method: Literal["floormod", "farmhash"] = attr(
        "floormod", doc="Assignment of out-of-vocabulary tokens to indices."
    )
    salt: int | None = attr(None, doc="Salt of the hash of out-of-vocabulary tokens.", unsupported=NO_HASHING)

    def infer(self, x: TensorType) -> TensorType:
        hashes = self.oov_method == "farmhash" and self.num_oov_indices > 1
        require_no_hash(hashes, f"the oov_method {self.oov_method!r}", "use 'floormod'")
        require("int" in x.dtype, f"needs integers, got {x}")
        require(not self.invert or self.oov_token is not None, "inverts without an oov_token")
        self.table.check()
        return self.table.infer(x)

    def lower(self, g: Builder, x: Value) -> Any:
        return self.table.lower(g, g.cast(x, "int64"))

    def adapt_input(self, g: Builder, x: Value) -> Value:
        return g.cast(x, "int64")
