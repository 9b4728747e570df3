"""Finds the entries that the last check with types knows in the text as it is now."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.diagnostics import JsonPath
from ...frontend.json.syntax_tree import Node
from ..documents.documents import Document
from .checks import SpecCheck
from .entry_facts import EntryFacts


def aligned_facts(document: Document, check: SpecCheck | None) -> dict[JsonPath, EntryFacts]:
    """The facts of a check by the paths of the entries in a newer version of its document.

    In each list of layers, the unchanged entries before the first change and after the last one keep their facts.
    """
    if check is None:
        return {}
    if check.document.text == document.text:
        return check.facts
    old_tree, tree = check.document.tree, document.tree
    if old_tree is None or tree is None:
        return {}
    facts: dict[JsonPath, EntryFacts] = {}
    for list_path in dict.fromkeys(path[:-1] for path in check.facts):
        old_texts = _item_texts(old_tree.at(list_path), check.document.text)
        texts = _item_texts(tree.at(list_path), document.text)
        for old, new in _unchanged_items(old_texts, texts):
            known = check.facts.get((*list_path, old))
            if known is not None:
                facts[(*list_path, new)] = known
    return facts


def _item_texts(node: Node | None, text: str) -> list[str]:
    return [text[item.start : item.end] for item in node.items] if node is not None else []


def _unchanged_items(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """The indexes of the items that both lists begin with and end with."""
    shorter = min(len(old), len(new))
    before = next((index for index in range(shorter) if old[index] != new[index]), shorter)
    after = next((index for index in range(shorter - before) if old[-1 - index] != new[-1 - index]), shorter - before)
    ending = [(len(old) - 1 - index, len(new) - 1 - index) for index in range(after)]
    return [(index, index) for index in range(before)] + ending
