"""Tables from tokens to numbers and back: ONNX' LabelEncoder, whose tokens are attributes.

Tokens that the data decide are a state of a size that nobody knows before. A node reads it as a second input until the
graph is to run: `with_vocabularies` then makes attributes of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .graph import Graph, Node, State

ML_DOMAIN = "ai.onnx.ml"
ATTRIBUTE_KINDS = {"string": "strings", "int64": "int64s"}


class VocabularyNotLearned(Exception):
    """A graph is to run whose tokens nobody has learned yet."""

    def __init__(self, state: str) -> None:
        self.layer = state.partition("/")[0]
        super().__init__(f"{self.layer!r} has learned no vocabulary yet")


def label_encoder_attributes(
    tokens: Sequence[Any], dtype: str, *, first: int, special: Sequence[Any], default: Any, invert: bool
) -> dict[str, Any]:
    """The attributes of a LabelEncoder: tokens of a type are numbered from `first` on; `special` is a token and its
    number, or nothing."""
    numbers: dict[Any, int] = {token: number for number, token in enumerate(tokens, first)}
    if special:
        numbers[special[0]] = special[1]
    known, count = (str if dtype == "string" else int), "int64s"
    keys, values = [known(token) for token in numbers], list(numbers.values())
    if invert:
        return {
            f"keys_{count}": values,
            f"values_{ATTRIBUTE_KINDS[dtype]}": keys,
            f"default_{_singular_kind(dtype)}": known(default),
        }
    return {f"keys_{ATTRIBUTE_KINDS[dtype]}": keys, f"values_{count}": values, "default_int64": int(default)}


def _singular_kind(dtype: str) -> str:
    return ATTRIBUTE_KINDS[dtype].removesuffix("s")


def unlearned_states(graph: Graph) -> dict[str, State]:
    """The states whose size the data decide."""
    return {name: state for name, state in graph.states.items() if not state.type.is_static()}


def with_vocabularies(graph: Graph, vocabularies: Mapping[str, np.ndarray]) -> Graph:
    """The graph with learned tokens in the place of states. Raises NotLearned."""
    states = unlearned_states(graph)
    if not states:
        return graph
    nodes = [_with_vocabulary(node, vocabularies) if node.domain == ML_DOMAIN else node for node in graph.nodes]
    left = {name: state for name, state in graph.states.items() if name not in states}
    return replace(graph, nodes=tuple(nodes), states=left)


def _with_vocabulary(node: Node, vocabularies: Mapping[str, np.ndarray]) -> Node:
    state = node.input(1)
    if not isinstance(state, State):
        return node
    tokens = vocabularies[state.name].tolist()
    if not tokens:
        raise VocabularyNotLearned(state.name)
    return replace(
        node, inputs=node.inputs[:1], attributes=label_encoder_attributes(tokens, state.dtype, **node.attributes)
    )
