"""The layer that turns texts into ids of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ...core.components import attr
from ...core.limits import MAX_TEXT_TOKENS
from ...core.types import BATCH, PaddingMask, Size, TensorType, require
from ..base import Layer, layer

if TYPE_CHECKING:
    from ...ir import Builder, Value

IDS, MASK, TYPE_IDS, OFFSETS = "input_ids", "attention_mask", "token_type_ids", "offsets"
RESULTS = (IDS, MASK, TYPE_IDS, OFFSETS)
"""What a tokenizer computes of texts, in the order of the results."""
TEXT_HELP = 'declare the input as {"shape": [], "dtype": "string"}'


@layer
class Tokenizer(Layer):
    """Turns texts into ids of tokens, by a `tokenizer.json`.

    Models of Hugging Face have such a file. The input is a text input of the spec; a second one makes pairs. The result
    `layer` are the ids, [batch, tokens]; `layer.attention_mask` is 1 for a token and 0 for padding,
    `layer.token_type_ids` is 1 for the second text of a pair, `layer.offsets`, [batch, tokens, 2], are the characters
    of the text where a token begins and ends. The ids carry the mask of their padding, so that pooling, attention and
    recurrent layers behind an Embedding skip it.

    The layer computes outside of the graph: inputs of the ONNX model are its results, by the names `input_ids`,
    `attention_mask` and so on, behind the layer's name if there are several Tokenizers. jsonnx computes them from texts
    in training, and wherever a RUN folder is given, by the package that the extra `text` installs. Padding and
    truncation that the file asks for are ignored.
    """

    keras_name = ""
    arity = (1, 2)

    file: str = attr(doc="The tokenizer, a file beneath the spec's folder whose name ends with `tokenizer.json`.")
    max_length: int = attr(
        512,
        doc="The largest number of tokens of a text or a pair, special ones included. Longer ones are truncated, of a "
        "pair the longer text first.",
        minimum=1,
        maximum=int(MAX_TEXT_TOKENS),
    )
    padding: Literal["longest", "max_length"] = attr(
        "longest", doc="Whether texts are padded to the longest one of their batch, or to `max_length`."
    )
    truncation_side: Literal["right", "left"] = attr("right", doc="The side of a long text that is cut off.")
    add_special_tokens: bool = attr(True, doc="Whether tokens such as `[CLS]` and `[SEP]` are added, as the file says.")
    sha256: str | None = attr(
        None, doc="The digest of the file. jsonnx writes it into the spec of a run and of a model."
    )

    fed_results: ClassVar[tuple[str, ...] | None] = None
    """The results that the network reads, in a network whose inputs they are; None in a network with texts."""

    def with_fed_results(self, names: Sequence[str]) -> Tokenizer:
        """The layer in a network whose inputs are these of its results."""
        return self.replaced(fed_results=tuple(names))

    def output_names(self) -> tuple[str, ...]:
        return (RESULTS if self.fed_results is None else self.fed_results)[1:]

    def result_types(self, name: str) -> dict[str, TensorType]:
        """The types of the results of a call with this name."""
        length = self.max_length if self.padding == "max_length" else Size.named(f"{name}.length")
        return {result: text_type(length, *([2] if result == OFFSETS else [])) for result in RESULTS}

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        if self.fed_results is not None:
            return inputs
        for x in inputs:
            require(is_text(x), f"needs a text for each sample, got {x}", TEXT_HELP)
        return tuple(self.result_types("text").values())

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        return None if self.fed_results is None else PaddingMask.of(inputs[0])

    def lower_mask(self, g: Builder, inputs: Sequence[Value], masks: Sequence[Value | None]) -> Value | None:
        return g.cast(inputs[1], "bool")

    def lower(self, g: Builder, *inputs: Value) -> Any:
        return inputs


def is_text(x: TensorType) -> bool:
    """Whether a value has one text for each sample."""
    return x.dtype == "string" and x.shape[1:] in ((), (1,))


def text_type(*sizes: Any) -> TensorType:
    """Integers for each token of each text."""
    return TensorType("int64", (BATCH, *sizes))
