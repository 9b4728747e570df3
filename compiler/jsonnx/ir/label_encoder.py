"""Tables from tokens to indices and back: the operator LabelEncoder, whose tokens are attributes.

A vocabulary that is learned from data is a state of unknown size, which the node has as a second input. Before the
graph runs, `with_vocabularies` replaces the input by attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .graph import Graph, Node, State

ML_DOMAIN = "ai.onnx.ml"
ATTRIBUTE_KINDS = {"string": "strings", "int64": "int64s"}
"""The suffix of the attributes that hold tokens, by element type."""


class VocabularyNotLearned(Exception):
    """A graph cannot run because the vocabulary of one of its layers is not learned yet."""

    def __init__(self, state: str) -> None:
        self.layer = state.partition("/")[0]
        super().__init__(f"{self.layer!r} has learned no vocabulary yet")


def label_encoder_attributes(
    tokens: Sequence[Any], dtype: str, *, first: int, special: Sequence[Any], default: Any, invert: bool
) -> dict[str, Any]:
    """The attributes of a LabelEncoder that numbers tokens of an element type from `first` on. `special` is empty, or a
    further token and its index."""
    indices: dict[Any, int] = {token: index for index, token in enumerate(tokens, first)}
    if special:
        indices[special[0]] = special[1]
    token_class, kind = (str if dtype == "string" else int), ATTRIBUTE_KINDS[dtype]
    token_list, index_list = [token_class(token) for token in indices], list(indices.values())
    if invert:
        default_name = f"default_{kind.removesuffix('s')}"
        return {"keys_int64s": index_list, f"values_{kind}": token_list, default_name: token_class(default)}
    return {f"keys_{kind}": token_list, "values_int64s": index_list, "default_int64": int(default)}


def unlearned_states(graph: Graph) -> dict[str, State]:
    """The states whose size depends on the data."""
    return {name: state for name, state in graph.states.items() if not state.type.is_static()}


def with_vocabularies(graph: Graph, vocabularies: Mapping[str, np.ndarray]) -> Graph:
    """The graph with learned vocabularies in place of states. Raises VocabularyNotLearned."""
    states = unlearned_states(graph)
    if not states:
        return graph
    nodes = [_with_vocabulary(node, vocabularies) if node.domain == ML_DOMAIN else node for node in graph.nodes]
    other_states = {name: state for name, state in graph.states.items() if name not in states}
    return replace(graph, nodes=tuple(nodes), states=other_states)


def _with_vocabulary(node: Node, vocabularies: Mapping[str, np.ndarray]) -> Node:
    state = node.input(1)
    if not isinstance(state, State):
        return node
    tokens = vocabularies[state.name].tolist()
    if not tokens:
        raise VocabularyNotLearned(state.name)
    attributes = label_encoder_attributes(tokens, state.dtype, **node.attributes)
    return replace(node, inputs=node.inputs[:1], attributes=attributes)
