"""Checks a spec at every one of its scales."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..core.diagnostics import CompileError, Diagnostic, Note, file_order, quoted_or_list
from ..core.limits import MAX_LAYERS, MAX_SCALE_LAYERS
from ..frontend.json_reader import Source
from ..frontend.overrides import with_overrides
from .check import CheckedSpec, Spec, check_source, read_spec

CHARACTERS_PER_LAYER, LAYERS_PER_CHECK = 100, 50
"""The length of a spec and each check count as layers, too, since they take time however few layers there are."""

MAX_PARAMETER_CHARACTERS = MAX_SCALE_LAYERS * CHARACTERS_PER_LAYER
"""The length up to which the parameters of scales are compared with one another."""

MAX_NAMES_SHOWN = 4


def validate(spec: Spec, scale: str | None = None, changes: Sequence[str] = ()) -> list[Diagnostic]:
    """All diagnostics of a spec, in the order of the file; an empty list for a valid spec.

    `scale` is the name of one of the spec's scales; without it, the spec is checked with its own parameters and at
    every scale. A change is a text like `training.epochs=3` or `width=128`.
    """
    try:
        source = read_spec(spec)
        if scale is not None:
            return check_source(source, changes=changes, scale=scale).diagnostics
        base = check_source(source, changes=changes)
        return _with_scales(base, source, changes)
    except CompileError as error:
        return error.diagnostics


@dataclass
class _Finding:
    """A diagnostic that a spec has only at some scales."""

    diagnostic: Diagnostic
    scales: list[str] = field(default_factory=list)

    def with_scales(self) -> Diagnostic:
        noun = "scale" if len(self.scales) == 1 else "scales"
        note = Note(f"at the {noun} {quoted_or_list(self.scales, MAX_NAMES_SHOWN).replace(' or ', ' and ')}")
        return replace(self.diagnostic, notes=(note, *self.diagnostic.notes))


_Key = tuple[str, str, int]
"""The code and the path of a diagnostic, and its number among those that have both in common.

Two checks of a spec find the same fault there, although the numbers in the message may differ.
"""


def _by_key(diagnostics: Sequence[Diagnostic]) -> dict[_Key, Diagnostic]:
    counts = Counter[tuple[str, str]]()
    result = {}
    for diagnostic in diagnostics:
        result[diagnostic.code, diagnostic.path, counts[diagnostic.code, diagnostic.path]] = diagnostic
        counts[diagnostic.code, diagnostic.path] += 1
    return result


def _with_scales(base: CheckedSpec, source: Source, changes: Sequence[str]) -> list[Diagnostic]:
    """The diagnostics of a spec, and those that it has only at some of its scales."""
    scales = _scales(source.value)
    known = _by_key(base.diagnostics)
    findings: dict[_Key, _Finding] = {}
    groups, unchecked = _by_parameters(source, scales, changes)
    spent = 0
    for names in groups:
        if spent >= MAX_SCALE_LAYERS:
            unchecked += names
            continue
        checked = check_source(_with_one_scale(source, names[0], scales[names[0]]), changes=changes, scale=names[0])
        spent += _cost(checked)
        for key, diagnostic in _by_key(checked.diagnostics).items():
            if key not in known:
                findings.setdefault(key, _Finding(diagnostic)).scales += names
    diagnostics = [*base.diagnostics, *(finding.with_scales() for finding in findings.values())]
    return [*sorted(diagnostics, key=file_order), *([_unchecked_scales(source, unchecked)] if unchecked else [])]


def _scales(document: Any) -> dict[str, dict[str, Any]]:
    """The parameter values of every scale, without those of parameters that do not exist, which are reported once."""
    scales = document.get("scales") if isinstance(document, dict) else None
    parameters = document.get("parameters") if isinstance(document, dict) else None
    if not isinstance(scales, dict) or not isinstance(parameters, dict):
        return {}
    return {
        name: {key: value for key, value in values.items() if key in parameters}
        for name, values in scales.items()
        if isinstance(values, dict)
    }


def _by_parameters(
    source: Source, scales: Mapping[str, Mapping[str, Any]], changes: Sequence[str]
) -> tuple[list[list[str]], list[str]]:
    """Groups of scales at which the spec has the same parameters, without those that change none.

    The second result are the scales that were not compared, since all parameters together are too long.
    """
    groups: dict[str, list[str]] = {}
    characters, rest = 0, []
    for name in (None, *scales) if scales else ():
        if name is not None and characters > MAX_PARAMETER_CHARACTERS:
            rest.append(name)
            continue
        document: Any = with_overrides(source, name, changes)[0].value
        key = json.dumps(document["parameters"], sort_keys=True)
        groups.setdefault(key, []).extend([name] if name is not None else [])
        characters += len(key)
    return [*groups.values()][1:], rest


def _with_one_scale(source: Source, name: str, values: Mapping[str, Any]) -> Source:
    document: Any = source.value
    return replace(source, value=document | {"scales": {name: dict(values)}})


def _cost(checked: CheckedSpec) -> int:
    """The number of layers that a check has visited, or the number of characters that it costs as much as."""
    document: Any = checked.flat.document if checked.flat is not None else None
    layers = document.get("layers") if isinstance(document, dict) else None
    count = len(layers) if isinstance(layers, list) else MAX_LAYERS
    return count + len(checked.source.text) // CHARACTERS_PER_LAYER + LAYERS_PER_CHECK


def _unchecked_scales(source: Source, names: Sequence[str]) -> Diagnostic:
    shown = quoted_or_list(names, MAX_NAMES_SHOWN).replace(" or ", " and ")
    noun = "scale" if len(names) == 1 else "scales"
    message = f"not checked: the {noun} {shown}, since all scales together have too many layers"
    line, column = source.locate(("scales",), True) or (None, None)
    help = "`--scale NAME` checks one"
    return Diagnostic("not-checked", message, "$.scales", source.file, line, column, help, "note")
