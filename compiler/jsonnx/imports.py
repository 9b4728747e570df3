"""Keras files as specs: reads, translates and checks them.

What comes out is a sound spec: it passed the same check as any other, and what is wrong with it is told at its place in
the Keras file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .diagnostics import Diagnostic
from .frontend.source import Limits, Source, read_file, read_text
from .interop.keras import read_model
from .validation import validate

LIMITS = Limits(depth=256)
"""A model inside a model is some eight levels deeper."""


@dataclass(frozen=True)
class Import:
    """A model of Keras as a spec."""

    spec: dict[str, Any]
    weights: Mapping[str, Any] | None
    origin: str
    """Which Keras wrote the file."""
    notices: tuple[Diagnostic, ...]
    """What is not as in Keras, and what was left out: warnings."""


def from_keras(path_or_text: str | os.PathLike[str]) -> tuple[dict[str, Any], Mapping[str, Any] | None]:
    """The spec and the weights, if there are any, of a Keras model: a path, or the text of `model.to_json()`.

    Raises CompileError with everything that cannot be said in a spec, UsageError where there is no such file.
    """
    found = imported(path_or_text)
    return found.spec, found.weights


def imported(path_or_text: str | os.PathLike[str]) -> Import:
    """As `from_keras`, with what there is to know of the file."""
    model = read_model(_source(path_or_text))
    found = validate(model.spec)
    model.report.retell((fault for fault in found if fault.severity == "error"), model.origin)
    model.report.raise_errors()
    return Import(model.spec, None, str(model.dialect), model.notices)


def _source(path_or_text: str | os.PathLike[str]) -> Source:
    if isinstance(path_or_text, str) and path_or_text.lstrip().startswith("{"):
        return read_text(path_or_text, limits=LIMITS)
    return read_file(path_or_text, LIMITS)
