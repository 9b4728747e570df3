"""Checks layers that learn from data before training: the sizes of Embeddings, and nested learning layers."""

from __future__ import annotations

from ..core.diagnostics import Report
from ..layers.core import Embedding
from ..layers.preprocessing.adaptable import Adaptable
from ..layers.preprocessing.lookup import IntegerLookup, StringLookup
from ..layers.preprocessing.text_vectorization import TextVectorization
from .shape_inference import TypedNetwork


def check_vocabularies(typed: TypedNetwork, report: Report) -> None:
    """Reports an Embedding with fewer vectors than the lookup before it has indices, and layers inside other layers
    that would have to learn from the data."""
    _check_nested_adaptables(typed, report)
    calls = {call.name: call for call in typed.network.calls}
    for call in typed.network.calls:
        source = calls.get(call.sources[0]) if call.sources else None
        if not isinstance(call.layer, Embedding) or source is None or source.name not in typed.types:
            continue
        if isinstance(source.layer, (StringLookup, IntegerLookup, TextVectorization)):
            table, count = source.layer.table, call.layer.input_dim
            if table.mode == "int" and not table.invert and (table.max_size or 0) > count:
                message = f"Embedding {call.name!r} has {count} vectors for {table.max_size} indices of {source.name!r}"
                notes = [(source.path, f"{source.name!r} has its vocabulary here")]
                help = f'set "input_dim" to {table.max_size}'
                report.add("out-of-range", (*call.path, "input_dim"), message, help=help, notes=notes)


def _check_nested_adaptables(typed: TypedNetwork, report: Report) -> None:
    for call in typed.network.calls:
        for name, inner in vars(call.layer).items() if call.layer else ():
            if isinstance(inner, Adaptable) and inner.needs_adapt:
                message = f"{inner.type_name} inside {call.name!r} would have to learn from the data"
                help = "make it a layer of its own before this one, or give the values that it would learn"
                report.add("not-learned", (*call.path, name), message, help=help)
