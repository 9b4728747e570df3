"""Rules on embeddings, masks and recurrent layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...core.types import Size
from ...frontend.network import Call
from ..fixes import set_key
from ..linted_network import LintedNetwork
from ..rule import Finding, rule

LOOKUPS = ("StringLookup", "IntegerLookup", "TextVectorization")
ATTENTIONS = ("MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention")
MAX_UNMASKED_SOURCES = 3
"""Of an attention: query, value and key; masks follow them."""
TEXTS_HELP = 'give the StringLookup "mask_token": "", and the Embedding behind it "mask_zero": true'
MAX_ALIGNMENT = 64
"""Sizes of tables are often rounded up, for speed, to a multiple of at most this number."""


def _vocabulary(network: LintedNetwork, embedding: Call) -> tuple[Call, Any] | None:
    """The lookup whose indices an Embedding takes, and its table."""
    source = network.producer(embedding)
    if source is None or source.layer is None or source.layer.type_name not in LOOKUPS:
        return None
    layer: Any = source.layer
    table = layer.table
    return (source, table) if table.mode == "int" and not table.invert else None


@rule("embedding-exceeds-vocabulary")
def embedding_exceeds_vocabulary(network: LintedNetwork) -> Iterator[Finding]:
    for call, layer in network.of_kind("Embedding"):
        found = _vocabulary(network, call)
        size = found[1].max_size if found is not None else None
        if found is None or not size or layer.input_dim <= size:
            continue
        if layer.input_dim % 8 == 0 and layer.input_dim - size < MAX_ALIGNMENT and size >= MAX_ALIGNMENT:
            continue
        source = found[0]
        notes = ((source.path, f"{source.name!r} has its vocabulary here"),)
        message = f"{call.name!r} has {layer.input_dim:,} vectors for {size:,} indices of {source.name!r}"
        path = (*call.path, "input_dim")
        yield Finding(path, message, f'write "input_dim": {size}', notes, fix=set_key(network, path, size))


@rule("unmasked-padding")
def unmasked_padding(network: LintedNetwork) -> Iterator[Finding]:
    training = network.training
    sequences = training.data.sequences if training is not None and training.data is not None else None
    behind_embeddings = set()
    for embedding, reader in _unmasked_embeddings(network, sequences is not None):
        behind_embeddings.add(reader.name)
        notes = ((reader.path, f"{reader.name!r} is here"),)
        message = f"{reader.name!r} runs over the padding of short texts, which {embedding.name!r} does not mask"
        key = (*embedding.path, "mask_zero")
        path = key if network.is_written(key) else embedding.path
        yield Finding(path, message, 'write "mask_zero": true', notes, fix=set_key(network, key, True))
    if sequences is None:
        return
    pad_value = f', "pad_value": {sequences.pad_value:g}' if sequences.pad_value else ""
    help = f'mask the padding of the input by its first layer: {{"type": "SequenceMask"{pad_value}}}'
    for reader, has_texts in _readers_of_padding(network):
        if reader.name not in behind_embeddings:
            message = f"{reader.name!r} takes the padding of short sequences for steps, and no layer masks it"
            yield Finding(reader.path, message, TEXTS_HELP if has_texts else help)
    for output, loss in (network.objective.losses if network.objective else {}).items():
        if loss.aligns_steps and output not in network.typed.masks.connected.value_masks:
            message = f"the loss {loss.type_name!r} of {output!r} takes the padding of short sequences for steps"
            yield Finding(network.typed.network.paths[output], message, help)


def _unmasked_embeddings(network: LintedNetwork, has_sequences: bool) -> Iterator[tuple[Call, Call]]:
    """Embeddings of padded steps that make no mask, each with the recurrent layer behind it."""
    for call, _ in network.of_kind("Embedding"):
        found = _vocabulary(network, call)
        is_padded = found is not None and found[0].layer is not None and found[0].layer.type_name == "TextVectorization"
        is_masked = call.name in network.typed.masks.connected.value_masks
        if is_masked or not (is_padded or has_sequences) or network.output_type(call).rank != 3:
            continue
        following = network.next_layer(call)
        if following is not None and _without_bidirectional(following).family == "recurrent":
            yield call, following


def _readers_of_padding(network: LintedNetwork) -> Iterator[tuple[Call, bool]]:
    """Layers by which padded steps of inputs change the results for other steps, if nothing makes a mask; and whether
    the input has texts."""
    inputs = network.typed.inputs.values()
    dtypes = {type.shape[1]: type.dtype for type in inputs if type.rank > 1 and isinstance(type.shape[1], Size)}
    for call, layer in network.of_kind("recurrent", "Bidirectional", *ATTENTIONS):
        is_attention = layer.type_name in ATTENTIONS
        type = network.typed.types[call.sources[-1]]
        if network.typed.masks.connected.produced or type.rank < 3 or type.shape[1] not in dtypes:
            continue
        if _takes_all_steps(layer, call) if is_attention else _ends_behind_padding(network, call):
            yield call, dtypes[type.shape[1]] == "string"


def _takes_all_steps(attention: Any, call: Call) -> bool:
    """Whether each query attends to all steps."""
    has_masks = attention.arguments is not None or len(call.sources) > MAX_UNMASKED_SOURCES
    return not (has_masks or attention.use_causal_mask or getattr(attention, "sliding_window", None))


def _ends_behind_padding(network: LintedNetwork, call: Call) -> bool:
    """Whether the last state of a recurrent layer, or its first one backwards, is used."""
    inner = _without_bidirectional(call)
    if len(call.sources) > 1 or inner.family != "recurrent":  # with initial states, it reads no mask
        return False
    is_state_used = any(network.consumers_by_value.get(result) for result in call.results[1:])
    return is_state_used or not inner.return_sequences or inner is not call.layer


def _without_bidirectional(call: Call) -> Any:
    """The layer of a call, or the one inside its Bidirectional."""
    layer: Any = call.layer
    return layer.layer if layer.type_name == "Bidirectional" else layer


@rule("flattened-sequence")
def flattened_sequence(network: LintedNetwork) -> Iterator[Finding]:
    for call, _ in network.of_kind("Flatten"):
        source = network.producer(call, skip=("Dropout", "Identity", "SpatialDropout1D"))
        if source is None:
            continue
        inner = _without_bidirectional(source)
        if inner.family == "recurrent" and inner.return_sequences:
            notes = ((source.path, f"{source.name!r} returns the states of all steps"),)
            yield Finding(call.path, f"{call.name!r} joins the states of all steps", "use the last state only", notes)


@rule("unclipped-recurrence", default=False)
def unclipped_recurrence(network: LintedNetwork) -> Iterator[Finding]:
    training = network.training
    optimizers = training.optimizer.optimizers if training else ()
    if training is None or any(item.clipnorm or item.clipvalue or item.global_clipnorm for item in optimizers):
        return
    call = next((call for call, _ in network.of_kind("recurrent")), None)
    if call is not None:
        notes = ((call.path, f"{call.name!r} is here"),)
        message = f"the gradients of {call.name!r} are not clipped"
        yield Finding(("training",), message, 'give the optimizer "global_clipnorm": 1.0', notes)
