"""Propagates transposes through a graph until they cancel: channels-last at the edges, channels-first inside."""

from __future__ import annotations

from collections.abc import Mapping

from ...ir import Graph
from .propagate import Rule, TransposePropagation, count_transposes
from .rules import RULES


def propagate_transposes(graph: Graph, rules: Mapping[str, Rule] = RULES) -> Graph:
    """The same function with fewer transposes; never with more, and with the same rounding but in sums over axes.

    Random inputs, whose elements are independent draws, may be asked for in another order of axes.
    """
    sunk = TransposePropagation(graph, rules).run()
    return sunk if count_transposes(sunk) <= count_transposes(graph) else graph


__all__ = ["RULES", "Rule", "count_transposes", "propagate_transposes"]
