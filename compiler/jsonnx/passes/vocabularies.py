"""Holds an Embedding to the vocabulary whose numbers it looks up."""

from __future__ import annotations

from ..diagnostics import Report
from ..layers.core import Embedding
from ..layers.lookup import IntegerLookup, StringLookup
from ..layers.text import TextVectorization
from .shapes import TypedNetwork


def check_vocabularies(typed: TypedNetwork, report: Report) -> None:
    """Reports an Embedding that has fewer vectors than the lookup before it has numbers."""
    makers = {call.name: call for call in typed.network.calls}
    for call in typed.network.calls:
        maker = makers.get(call.sources[0]) if call.sources else None
        if not isinstance(call.layer, Embedding) or maker is None or maker.name not in typed.types:
            continue
        if isinstance(maker.layer, (StringLookup, IntegerLookup, TextVectorization)):
            table, count = maker.layer.table, call.layer.input_dim
            if table.mode == "int" and not table.invert and (table.limit or 0) > count:
                message = f"Embedding {call.name!r} has {count} vectors for {table.limit} numbers of {maker.name!r}"
                notes = [(maker.path, f"{maker.name!r} has its vocabulary here")]
                help = f'set "input_dim" to {table.limit}'
                report.add("out-of-range", (*call.path, "input_dim"), message, help=help, notes=notes)
