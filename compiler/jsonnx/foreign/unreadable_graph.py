"""The error of an ONNX graph that cannot become a part of a network."""

from __future__ import annotations

UNSUPPORTED = "unsupported-operator"
DAMAGED = "damaged-file"
TOO_LARGE = "too-large"


class UnreadableGraph(ValueError):
    """What is wrong with a graph; `code` is the diagnostic's code, `help` suggests a solution."""

    def __init__(self, message: str, code: str = "unsupported-operator", help: str | None = None) -> None:
        self.message, self.code, self.help = message, code, help
        super().__init__(message)


def node_text(op: str, name: str) -> str:
    """An operator with the name of its node, as messages show it."""
    return f"the operator {op} of the node {name!r}" if name else f"the operator {op}"
