"""Checks a spec at every one of its scales."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...core.diagnostics import Diagnostic, Note, path_text, quoted_or_list
from ...core.limits import MAX_LAYERS, MAX_SCALE_LAYERS
from ...frontend.expansion.overrides import with_overrides
from ...frontend.json.json_reader import Source
from .check import CheckedSpec, check_source

CHARACTERS_PER_LAYER, LAYERS_PER_CHECK = 100, 50
"""The length of a spec and each check count as layers, too, since they take time however few layers there are."""

MAX_PARAMETER_CHARACTERS = MAX_SCALE_LAYERS * CHARACTERS_PER_LAYER
"""Maximum length of the parameters of scales that are compared with one another."""

MAX_NAMES_SHOWN = 4


def check_scales(
    source: Source,
    changes: Sequence[str],
    base: Sequence[Diagnostic],
    diagnostics_of: Callable[[CheckedSpec], list[Diagnostic]],
) -> list[Diagnostic]:
    """The diagnostics that a spec has only at some of its scales, and a note if there are too many to check.

    `base` are the diagnostics without a scale, `diagnostics_of` returns the spec's diagnostics at one scale.
    """
    scales = _scales(source.value, [item.path for item in base if item.path.startswith("$.scales")])
    groups, unchecked = _by_parameters(source, scales, changes)
    known = _by_key(base)
    findings: dict[_Key, _Finding] = {}
    spent = 0
    for names in groups:
        if spent >= MAX_SCALE_LAYERS:
            unchecked += names
            continue
        checked = check_source(_with_one_scale(source, names[0], scales[names[0]]), changes=changes, scale=names[0])
        spent += cost_of_check(checked)
        for key, diagnostic in _by_key(diagnostics_of(checked)).items():
            if key not in known:
                findings.setdefault(key, _Finding(diagnostic)).scales += names
    notes = [_unchecked_scales(source, unchecked)] if unchecked else []
    return [*(finding.with_scales() for finding in findings.values()), *notes]


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

Two checks of a spec find the same error there, although the numbers in the message may differ.
"""


def _by_key(diagnostics: Sequence[Diagnostic]) -> dict[_Key, Diagnostic]:
    counts = Counter[tuple[str, str]]()
    result = {}
    for diagnostic in diagnostics:
        result[diagnostic.code, diagnostic.path, counts[diagnostic.code, diagnostic.path]] = diagnostic
        counts[diagnostic.code, diagnostic.path] += 1
    return result


def _scales(document: Any, wrong_paths: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The parameter values of every scale, without values that are reported already or belong to no parameter."""
    scales = document.get("scales") if isinstance(document, dict) else None
    parameters = document.get("parameters") if isinstance(document, dict) else None
    if not isinstance(scales, dict) or not isinstance(parameters, dict):
        return {}
    return {
        name: {
            key: value
            for key, value in values.items()
            if key in parameters and not (wrong_paths and _has_errors(path_text(("scales", name, key)), wrong_paths))
        }
        for name, values in scales.items()
        if isinstance(values, dict)
    }


def _has_errors(path: str, wrong_paths: Sequence[str]) -> bool:
    return any(wrong == path or wrong.startswith((f"{path}[", f"{path}.")) for wrong in wrong_paths)


def _by_parameters(
    source: Source, scales: Mapping[str, Mapping[str, Any]], changes: Sequence[str]
) -> tuple[list[list[str]], list[str]]:
    """Groups of scales that give the spec the same parameters, without scales that change none.

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


def cost_of_check(checked: CheckedSpec) -> int:
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
