"""Runs rules on a network and reports what they find."""

from __future__ import annotations

from ..core.diagnostics import JsonPath, Report, is_in_library
from .check_warnings import CHECK_WARNINGS, DATA_WARNINGS
from .linted_network import LintedNetwork
from .rules import RULES
from .rules.silences import UNUSED_SILENCE


def default_codes() -> frozenset[str]:
    """The codes of the rules that run by default, and of the warnings of `jsonnx validate`."""
    return frozenset({*CHECK_WARNINGS, *(rule.code for rule in RULES.values() if rule.is_default)})


def codes_without_data(codes: frozenset[str]) -> frozenset[str]:
    """The codes that can be found although the data are not read."""
    return codes - {rule.code for rule in RULES.values() if rule.needs_data} - set(DATA_WARNINGS)


def lint_network(network: LintedNetwork, report: Report) -> None:
    """Adds the findings of the selected rules, without those that the spec silences."""
    layer_names = {call.path[:2]: call.owner for call in network.calls}
    selected = [rule for rule in RULES.values() if rule.code in network.codes]
    for rule in sorted(selected, key=lambda rule: rule.code == UNUSED_SILENCE):
        for finding in rule.find(network):
            layer = layer_names.get(_layer_path(finding.path))
            if is_in_library(network.source_map(finding.path, finding.at_key).path):
                continue  # the user cannot change it
            if network.silences is not None and network.silences.covers_layer(rule.code, layer):
                continue
            report.add(
                rule.code,
                finding.path,
                finding.message,
                help=finding.help,
                notes=finding.notes,
                at_key=finding.at_key,
                severity=rule.severity,
                fix=finding.fix,
            )


def _layer_path(path: JsonPath) -> JsonPath:
    """The path of the layer that contains a path; the path itself if none does."""
    return path[:2] if path[:1] == ("layers",) else path
