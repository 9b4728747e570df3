"""Propagates transposes through a graph until they cancel: channels-last at the edges, channels-first inside."""

from __future__ import annotations

from collections.abc import Mapping

from ...ir import Graph
from .propagate import Rule, TransposePropagation, count_transposes
from .rules import RULES


def propagate_transposes(graph: Graph, rules: Mapping[str, Rule] = RULES) -> Graph:
    """A graph that computes the same values with fewer transposes, or the graph itself if there would be more.

    Only reductions may round differently. Random inputs may get another order of axes, since their elements are
    independent.
    """
    propagated = TransposePropagation(graph, rules).run()
    return propagated if count_transposes(propagated) <= count_transposes(graph) else graph


__all__ = ["RULES", "Rule", "count_transposes", "propagate_transposes"]
