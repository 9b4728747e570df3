"""Checks layers that learn from data before training, nested ones too, and the sizes and tokens of Embeddings."""

from __future__ import annotations

from ..core.diagnostics import Report
from ..frontend.network import Call
from ..layers.base import Layer
from ..layers.core import Embedding
from ..layers.preprocessing.adaptable import Adaptable
from ..layers.preprocessing.lookup import IntegerLookup, StringLookup
from ..layers.preprocessing.text_vectorization import TextVectorization
from ..layers.preprocessing.tokenizer import Tokenizer
from ..layers.rnn.time_distributed import nested_components
from .shape_inference import TypedNetwork


def check_vocabularies(typed: TypedNetwork, report: Report) -> None:
    """Reports an Embedding with fewer vectors than the lookup before it has indices, and layers inside other layers
    that would have to learn from the data, or to read vectors of a file."""
    _check_nested_layers(typed, report)
    _check_positions(typed, report)
    calls = {call.name: call for call in typed.network.calls}
    for call in typed.network.calls:
        source = calls.get(call.sources[0]) if call.sources else None
        if _has_vectors(call.layer) and call.owner == call.name:
            _check_has_tokens(call, source, report)
        if not isinstance(call.layer, Embedding) or source is None or source.name not in typed.types:
            continue
        if isinstance(source.layer, (StringLookup, IntegerLookup, TextVectorization)):
            table, count = source.layer.table, call.layer.input_dim
            if table.mode == "int" and not table.invert and (table.max_size or 0) > count:
                message = f"Embedding {call.name!r} has {count} vectors for {table.max_size} indices of {source.name!r}"
                notes = [(source.path, f"{source.name!r} has its vocabulary here")]
                help = f'set "input_dim" to {table.max_size}'
                report.add("out-of-range", (*call.path, "input_dim"), message, help=help, notes=notes)
        elif isinstance(source.layer, Tokenizer):
            _check_ids(call, call.layer.input_dim, source, typed, report)


def _check_positions(typed: TypedNetwork, report: Report) -> None:
    """Reports a PositionEmbedding with fewer positions than the longest text of a Tokenizer has tokens."""
    if not typed.network.tokenizations:
        return
    from ..layers.attention.position_embeddings import PositionEmbedding  # few networks have tokenizers

    tokenizers = {typed.inputs[tokens.inputs["input_ids"]].shape[1]: tokens for tokens in typed.network.tokenizations}
    for call in typed.network.calls:
        type = typed.types.get(call.sources[0]) if call.sources else None
        if not isinstance(call.layer, PositionEmbedding) or type is None or type.rank < 2:
            continue
        tokens, count = tokenizers.get(type.shape[1]), call.layer.sequence_length
        if tokens is not None and not tokens.pads_to_max_length and tokens.max_length > count:
            message = (
                f"PositionEmbedding {call.name!r} has {count:,} positions for texts of up to {tokens.max_length:,} "
            )
            notes = [(typed.network.paths[tokens.call], f"{tokens.call!r} is here")]
            help = f'set the "max_length" of {tokens.call!r} to {count}'
            report.add("out-of-range", (*call.path, "sequence_length"), f"{message}tokens", help=help, notes=notes)


def _check_ids(call: Call, vector_count: int, source: Call, typed: TypedNetwork, report: Report) -> None:
    """Reports an Embedding of ids with fewer vectors than the tokenizer has ids."""
    names = typed.network.tokenizations
    file = next((tokens.file for tokens in names if tokens.call == source.name), None)
    if file is not None and call.sources[0] == source.name and file.id_count > vector_count:
        message = (
            f"Embedding {call.name!r} has {vector_count:,} vectors for the {file.id_count:,} ids of {source.name!r}"
        )
        notes = [(source.path, f"{source.name!r} has its tokenizer here")]
        help = f'set "input_dim" to {file.id_count}'
        report.add("out-of-range", (*call.path, "input_dim"), message, help=help, notes=notes)


def gives_tokens(source: Call | None) -> bool:
    """Whether a call gives the indices of texts in a vocabulary."""
    if source is None or not isinstance(source.layer, (StringLookup, TextVectorization)):
        return False
    return source.layer.table.mode == "int" and not source.layer.table.invert


def _check_has_tokens(call: Call, source: Call | None, report: Report) -> None:
    if not gives_tokens(source):
        message = f"{call.name!r} has `vectors`, but no layer directly before it says which tokens its indices are"
        help = "put a StringLookup or a TextVectorization before it, with the output_mode int"
        report.add("unsupported-argument", (*call.path, "vectors"), message, help=help)


def _has_vectors(layer: object) -> bool:
    return isinstance(layer, Embedding) and layer.vectors is not None


def _check_nested_layers(typed: TypedNetwork, report: Report) -> None:
    for call in typed.network.calls:
        for name, inner in vars(call.layer).items() if call.layer and call.owner == call.name else ():
            if isinstance(inner, Layer) and any(map(_has_vectors, nested_components(inner))):
                message = (
                    f"the Embedding inside {call.name!r} has `vectors`, with which only a layer of its own can start"
                )
                help = "leave them out, or make the Embedding a layer of its own: it takes indices of any shape"
                report.add("unsupported-argument", (*call.path, name), message, help=help)
            if isinstance(inner, Adaptable) and inner.needs_adapt:
                message = f"{inner.type_name} inside {call.name!r} would have to learn from the data"
                help = "make it a layer of its own before this one, or give the values that it would learn"
                report.add("not-learned", (*call.path, name), message, help=help)
