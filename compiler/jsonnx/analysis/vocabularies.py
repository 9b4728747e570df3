"""Holds networks to what they learn before training: an Embedding to its vocabulary, learners to where they can."""

from __future__ import annotations

from ..core.diagnostics import Report
from ..layers.core import Embedding
from ..layers.preprocessing.adaptable import Adaptable
from ..layers.preprocessing.lookup import IntegerLookup, StringLookup
from ..layers.preprocessing.text_vectorization import TextVectorization
from .shape_inference import TypedNetwork


def check_vocabularies(typed: TypedNetwork, report: Report) -> None:
    """Reports an Embedding that has fewer vectors than the lookup before it has numbers, and a layer inside another one
    that would have to learn from the data."""
    _check_nested_adaptables(typed, report)
    makers = {call.name: call for call in typed.network.calls}
    for call in typed.network.calls:
        maker = makers.get(call.sources[0]) if call.sources else None
        if not isinstance(call.layer, Embedding) or maker is None or maker.name not in typed.types:
            continue
        if isinstance(maker.layer, (StringLookup, IntegerLookup, TextVectorization)):
            table, count = maker.layer.table, call.layer.input_dim
            if table.mode == "int" and not table.invert and (table.max_size or 0) > count:
                message = f"Embedding {call.name!r} has {count} vectors for {table.max_size} numbers of {maker.name!r}"
                notes = [(maker.path, f"{maker.name!r} has its vocabulary here")]
                help = f'set "input_dim" to {table.max_size}'
                report.add("out-of-range", (*call.path, "input_dim"), message, help=help, notes=notes)


def _check_nested_adaptables(typed: TypedNetwork, report: Report) -> None:
    for call in typed.network.calls:
        for name, inner in vars(call.layer).items() if call.layer else ():
            if isinstance(inner, Adaptable) and inner.needs_adapt:
                message = f"{inner.type_name} inside {call.name!r} learns from the data, which needs its own place"
                help = "put it before, as a layer of the network, or give what it would learn"
                report.add("not-learned", (*call.path, name), message, help=help)
