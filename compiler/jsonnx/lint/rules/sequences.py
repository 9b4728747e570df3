"""Rules on embeddings, masks and recurrent layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...frontend.network import Call
from ..fixes import set_key
from ..linted_network import LintedNetwork
from ..rule import Finding, rule

LOOKUPS = ("StringLookup", "IntegerLookup", "TextVectorization")
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
    has_sequences = training is not None and training.data is not None and training.data.sequences is not None
    for call, _ in network.of_kind("Embedding"):
        found = _vocabulary(network, call)
        is_padded = found is not None and found[0].layer is not None and found[0].layer.type_name == "TextVectorization"
        is_masked = call.name in network.typed.masks.connected.value_masks
        if is_masked or not (is_padded or has_sequences) or network.output_type(call).rank != 3:
            continue
        following = network.next_layer(call)
        inner: Any = following.layer if following is not None else None
        if inner is not None and inner.type_name == "Bidirectional":
            inner = inner.layer
        if following is not None and inner is not None and inner.family == "recurrent":
            notes = ((following.path, f"{following.name!r} is here"),)
            message = f"{following.name!r} runs over the padding of short texts, which {call.name!r} does not mask"
            path = (*call.path, "mask_zero") if network.is_written((*call.path, "mask_zero")) else call.path
            fix = set_key(network, (*call.path, "mask_zero"), True)
            yield Finding(path, message, 'write "mask_zero": true', notes, fix=fix)
    for output, loss in (network.objective.losses if network.objective and has_sequences else {}).items():
        if loss.aligns_steps and output not in network.typed.masks.connected.value_masks:
            message = f"the loss {loss.type_name!r} of {output!r} takes the padding of short sequences for steps"
            help = 'mask the padding of the input by its first layer: {"type": "SequenceMask"}'
            yield Finding(network.typed.network.paths[output], message, help)


@rule("flattened-sequence")
def flattened_sequence(network: LintedNetwork) -> Iterator[Finding]:
    for call, _ in network.of_kind("Flatten"):
        source = network.producer(call, skip=("Dropout", "Identity", "SpatialDropout1D"))
        inner: Any = source.layer if source is not None else None
        if inner is not None and inner.type_name == "Bidirectional":
            inner = inner.layer
        if source is not None and inner is not None and inner.family == "recurrent" and inner.return_sequences:
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
