"""Cases of the suite: a sentence of a specification, and a function that holds a server to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .target import Target

Check = Callable[["Target"], None]


class Level(StrEnum):
    """How strongly a specification demands a behaviour."""

    MUST = "must"
    """A sentence with "must", or a field that the protocol does not call optional."""
    SHOULD = "should"
    """What the protocol leaves open or HTTP recommends, and clients rely on."""
    EXTENSION = "extension"
    """A rule of an extension, which binds a server that announces it."""


@dataclass(frozen=True)
class Case:
    """One behaviour of a server. `extension` names the extension that the server must announce for it."""

    id: str
    level: Level
    rule: str
    check: Check
    extension: str | None = None

    @property
    def area(self) -> str:
        return self.id.partition("/")[0]


GRPC = "gRPC"
"""In the place of an extension: cases that need the address of a gRPC server."""

CASES: dict[str, Case] = {}
"""All cases by id, in the order in which they run."""


class Area:
    """Registers the cases of one area; those of an extension bind only a server that announces it."""

    def __init__(self, name: str, extension: str | None = None) -> None:
        self.name, self.extension = name, extension

    def must(self, name: str, rule: str) -> Callable[[Check], Check]:
        return self._register(name, rule, Level.MUST)

    def should(self, name: str, rule: str) -> Callable[[Check], Check]:
        return self._register(name, rule, Level.SHOULD)

    def extends(self, name: str, rule: str) -> Callable[[Check], Check]:
        return self._register(name, rule, Level.EXTENSION)

    def _register(self, name: str, rule: str, level: Level) -> Callable[[Check], Check]:
        def register(check: Check) -> Check:
            case = Case(f"{self.name}/{name}", level, rule, check, self.extension)
            if case.id in CASES:
                raise ValueError(f"two cases are called {case.id}")
            CASES[case.id] = case
            return check

        return register
