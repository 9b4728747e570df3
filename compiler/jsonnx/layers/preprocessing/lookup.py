"""StringLookup and IntegerLookup: tokens to numbers, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from ...core.components import ArrayCodec, IntegerCodec, Json, ScalarCodec, attr
from ...core.types import Size, TensorType, require
from ...training.initializers import Zeros
from ..base import layer
from .adaptable import Adaptable
from .category_encoding import NO_SPARSE, encode_categories, encoded_type

if TYPE_CHECKING:
    import numpy as np

    from ...ir import Builder, State, Value

Mode = Literal["int", "one_hot", "multi_hot", "count", "tf_idf", "binary", "tf-idf"]
OUTPUT_MODE_DOC = (
    "`int` for numbers, `one_hot` for a vector a token, `multi_hot` (or `binary`) and `count` for one a sample, "
    "`tf_idf` for counts times `idf_weights`."
)
MAX_TOKENS_DOC = "Greatest size of the vocabulary, with mask and unknown tokens; null for any."
PAD_TO_MAX_TOKENS_DOC = "Whether vectors have `max_tokens` numbers, however many tokens there are."
VOCABULARY_DOC = "The tokens, or the file that has one a line; null to learn them from the data."
IDF_WEIGHTS_DOC = "Inverse document frequency of each token, for `tf_idf`."
UTF8_ONLY = "Only UTF-8 is supported: it is what strings in ONNX are."
NO_HASHING = "ONNX has no hash function: a token that is not in the vocabulary cannot be hashed."


class VocabularyCodec:
    """A list of tokens, or the path of a file; the file's tokens take its place before a layer is made."""

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
    """What all lookups have in common: Keras' IndexLookup.

    The first numbers are those of the mask token (0, in the mode `int`) and of tokens that are not in the vocabulary.
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
        """Numbers that the mask token has: 1 or 0."""
        return int(self.mask_token is not None and self.mode == "int")

    @property
    def first_token_index(self) -> int:
        """The number of the first token."""
        return self.num_mask_indices + self.num_oov_indices

    @property
    def special_tokens(self) -> list[Any]:
        return [self.mask_token] * self.num_mask_indices + [self.oov_token] * self.num_oov_indices

    @property
    def includes_special_tokens(self) -> bool:
        """Whether the given vocabulary begins with the special tokens."""
        return (
            self.first_token_index <= len(self.vocabulary)
            and list(self.vocabulary[: self.first_token_index]) == self.special_tokens
        )

    @property
    def tokens(self) -> Sequence[Any]:
        """The given tokens without special ones."""
        return list(self.vocabulary[self.first_token_index if self.includes_special_tokens else 0 :])

    @property
    def depth(self) -> int:
        """The size of vectors."""
        return self.max_tokens or 0 if self.pad_to_max_tokens else self.first_token_index + len(self.tokens)

    @property
    def max_size(self) -> int | None:
        """How many numbers there can be; None where nobody knows before training."""
        return self.max_tokens if self.vocabulary is None else self.first_token_index + len(self.tokens)

    # -- what must hold ----------------------------------------------------------------------------------------------

    def check(self) -> None:
        """ShapeError where the arguments do not go together, in Keras or here."""
        require(not self.pad_to_max_tokens or self.max_tokens is not None, "has pad_to_max_tokens without max_tokens")
        if self.max_tokens is not None:
            least = self.first_token_index + 1
            require(self.max_tokens >= least, f"has max_tokens {self.max_tokens}, needs at least {least}")
        plain = self.mode == "int" or not self.invert
        require(plain, f'inverts with the output_mode {self.mode!r}, which only "int" allows')
        only = self.idf_weights is None or self.mode == "tf_idf"
        require(only, f"has idf_weights, which the output_mode {self.mode!r} does not use")
        if self.vocabulary is not None:
            self._check_vocabulary()
        else:
            alone = self.idf_weights is None
            require(alone, "has idf_weights without a vocabulary", "give both, or neither to learn them")
            known = self.mode == "int" or self.pad_to_max_tokens
            help = 'say "max_tokens": N and "pad_to_max_tokens": true, or give the vocabulary'
            require(known, "learns its tokens, so that nobody knows the size of its vectors", help)

    def _check_vocabulary(self) -> None:
        tokens = self.tokens
        read = not isinstance(self.vocabulary, str)
        require(read, f"names the vocabulary {self.vocabulary!r}, which is not read here", "give a list of tokens")
        require(len(tokens) > 0, "has a vocabulary without tokens, but for special ones")
        seen: set[Any] = set()
        twice = next((token for token in tokens if token in seen or seen.add(token)), None)  # type: ignore[func-returns-value]
        require(twice is None, f"has {twice!r} twice in its vocabulary", "keep one of them")
        help = "leave special tokens out, or begin with all of them"
        help = help if self.first_token_index > 9 else f"{help}: {self.special_tokens}"
        require(
            self.mask_token is None or self.mask_token not in tokens,
            f"has its mask token {self.mask_token!r} as a token",
            help,
        )
        unknown = self.invert and self.oov_token in tokens
        require(not unknown, f"has its oov_token {self.oov_token!r} as a token", help)
        size = self.first_token_index + len(tokens)
        fits = self.max_tokens is None or size <= self.max_tokens
        require(fits, f"has {size} tokens with special ones, more than max_tokens {self.max_tokens}")
        if self.mode == "tf_idf":
            weights = self.idf_weights
            require(weights is not None, "needs idf_weights beside its vocabulary for tf_idf")
            same = weights is not None and len(weights) == len(self.vocabulary)
            require(same, f"has {len(weights or ())} idf_weights for {len(self.vocabulary)} tokens")

    def infer(self, x: TensorType) -> TensorType:
        if self.invert:
            return x.with_dtype(self.dtype)
        return x.with_dtype("int64") if self.mode == "int" else encoded_type(x, self.vector_mode, self.depth)

    @property
    def vector_mode(self) -> str:
        """What vectors hold, before weights."""
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
        found = g.lookup(x, tokens, dtype=self.dtype, first=self.first_token_index, special=special, default=default)
        if self.num_oov_indices > 1:
            rest = g.Add(g.Mod(x, self.num_oov_indices), self.num_mask_indices)
            found = g.Where(g.Equal(found, UNKNOWN_INDEX), rest, found)
        if self.num_oov_indices == 0:
            found = self._reject_unknown(g, found)
        if self.mode == "int":
            return found
        counts = encode_categories(g, found, self.vector_mode, self.depth)
        return g.Mul(counts, self._idf_vector(g)) if self.mode == "tf_idf" else counts

    def _reject_unknown(self, g: Builder, found: Value) -> Value:
        """The numbers as they are; but onnxruntime stops at an index that the table does not have."""
        bad = g.cast(g.Equal(found, UNKNOWN_INDEX), "int64")
        return g.Add(found, g.Gather(g.const([0], "int64"), bad))

    def _idf_vector(self, g: Builder) -> Value:
        """The weight of every place; unknown tokens weigh as much as others do on average."""
        if self.vocabulary is None:
            return g.state("idf_weights", (self.depth,), Zeros())
        weights = list(self.idf_weights or ())
        if not self.includes_special_tokens:
            weights = [sum(weights) / len(weights)] * self.first_token_index + weights
        return g.const([*weights, *[0.0] * (self.depth - len(weights))])

    def adapt(self, batches: list[np.ndarray]) -> dict[str, np.ndarray]:
        from .adapt_numpy import frequent_tokens

        left_out = {token for token in (self.mask_token, self.oov_token) if token is not None}
        most = None if self.max_tokens is None else self.max_tokens - self.first_token_index
        found, weights = frequent_tokens(batches, left_out, most)
        if self.dtype != "string":
            found = found.astype("int64")
        if self.mode != "tf_idf":
            return {"vocabulary": found}
        from numpy import full, zeros

        mean = weights.mean(dtype="float32") if len(weights) else 0.0
        idf = zeros(self.depth, "float32")
        idf[: self.first_token_index + len(weights)] = [*full(self.first_token_index, mean), *weights]
        return {"vocabulary": found, "idf_weights": idf}


UNKNOWN_INDEX, DROPPED_INDEX = -1, -2
"""Numbers of tokens in between: no output has them."""


def canonical_output_mode(name: str) -> str:
    """The output mode that an old name stands for."""
    return {"binary": "multi_hot", "tf-idf": "tf_idf"}.get(name, name)


def require_no_hash(uses_hash: bool, what: str, help: str) -> None:
    require(not uses_hash, f"has {what}: ONNX has no operator that hashes", help, code="not-expressible")


class Lookup(Adaptable):
    """Base of the layers with a vocabulary, which the data decide where none is given."""

    adapted_states: ClassVar[tuple[str, ...]] = ("vocabulary", "idf_weights")

    if TYPE_CHECKING:
        vocabulary: Any

    @property
    def table(self) -> LookupTable:
        """What the layer looks up in."""
        raise NotImplementedError

    @property
    def needs_adapt(self) -> bool:
        return self.vocabulary is None

    def adapt(self, batches: list[np.ndarray]) -> dict[str, np.ndarray]:
        return self.table.adapt(batches)


class TokenLookup(Lookup):
    """Base of the layers whose inputs are tokens, or with `invert` numbers of tokens."""

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
            self.token_dtype,
            canonical_output_mode(self.output_mode),
            self.max_tokens,
            self.num_oov_indices,
            self.mask_token,
            self.oov_token,
            self.vocabulary,
            self.idf_weights,
            self.pad_to_max_tokens,
            self.invert,
        )


@layer
class StringLookup(TokenLookup):
    """The number of each string in a vocabulary, or with `invert` the string of each number.

    A vocabulary that is not given is learned from the training data, the most frequent tokens first.
    """

    token_dtype = "string"

    max_tokens: int | None = attr(None, doc=MAX_TOKENS_DOC, minimum=2)
    num_oov_indices: int = attr(
        1, doc="Numbers for tokens that are not in the vocabulary: 1, or 0 to refuse them.", minimum=0
    )
    mask_token: str | None = attr(None, doc="Token that stands for nothing: it has number 0, and no place in vectors.")
    oov_token: str | None = attr("[UNK]", doc="What a number without a token becomes with `invert`.")
    vocabulary: StringVocabulary | None = attr(None, doc=VOCABULARY_DOC)
    idf_weights: tuple[float, ...] | None = attr(None, doc=IDF_WEIGHTS_DOC)
    invert: bool = attr(False, doc="Whether numbers come in and tokens out.")
    output_mode: Mode = attr("int", doc=OUTPUT_MODE_DOC)
    pad_to_max_tokens: bool = attr(False, doc=PAD_TO_MAX_TOKENS_DOC)
    sparse: bool = attr(False, doc="Whether the result is a sparse tensor.", unsupported=NO_SPARSE)
    encoding: str = attr("utf-8", doc="Encoding of the strings.", unsupported=UTF8_ONLY)
    salt: int | None = attr(None, doc="Key of the hash of unknown tokens.", unsupported=NO_HASHING)
    oov_method: str = attr("floormod", doc="How numbers are given to unknown tokens.", unsupported=NO_HASHING)

    def infer(self, x: TensorType) -> TensorType:
        help = "set num_oov_indices to 1"
        require_no_hash(self.num_oov_indices > 1, f"num_oov_indices {self.num_oov_indices}", help)
        wanted = "int" if self.invert else "string"
        require(x.dtype.startswith(wanted), f"needs {'integers' if self.invert else 'strings'}, got {x}")
        require(not self.invert or self.oov_token is not None, "inverts without an oov_token")
        self.table.check()
        return self.table.infer(x)

    def lower(self, g: Builder, x: Value) -> Any:
        return self.table.lower(g, g.cast(x, "int64") if self.invert else x)

    def adapt_input(self, g: Builder, x: Value) -> Value:
        return x


@layer
class IntegerLookup(TokenLookup):
    """The number of each integer in a vocabulary, or with `invert` the integer of each number.

    Integers that are not in the vocabulary have the number `x mod num_oov_indices`, after the mask token's. A
    vocabulary that is not given is learned from the training data, the most frequent tokens first.
    """

    token_dtype = "int64"

    max_tokens: int | None = attr(None, doc=MAX_TOKENS_DOC, minimum=2)
    num_oov_indices: int = attr(
        1, doc="Numbers for tokens that are not in the vocabulary; 0 to refuse them.", minimum=0
    )
    mask_token: int | None = attr(None, doc="Token that stands for nothing: it has number 0, and no place in vectors.")
    oov_token: int | None = attr(-1, doc="What a number without a token becomes with `invert`.")
    vocabulary: IntegerVocabulary | None = attr(None, doc=VOCABULARY_DOC)
    vocabulary_dtype: Literal["int64"] = attr("int64", doc="Element type of the tokens.")
    idf_weights: tuple[float, ...] | None = attr(None, doc=IDF_WEIGHTS_DOC)
    invert: bool = attr(False, doc="Whether numbers come in and tokens out.")
    output_mode: Mode = attr("int", doc=OUTPUT_MODE_DOC)
    sparse: bool = attr(False, doc="Whether the result is a sparse tensor.", unsupported=NO_SPARSE)
    pad_to_max_tokens: bool = attr(False, doc=PAD_TO_MAX_TOKENS_DOC)
    oov_method: Literal["floormod", "farmhash"] = attr("floormod", doc="How unknown tokens get one of several numbers.")
    salt: int | None = attr(None, doc="Key of the hash of unknown tokens.", unsupported=NO_HASHING)

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
