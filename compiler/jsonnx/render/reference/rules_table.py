"""The list of all lint rules, as text and JSON."""

from __future__ import annotations

import json
from itertools import groupby

from ...lint.check_warnings import CHECK_WARNINGS, DATA_WARNINGS
from ...lint.rule import Rule
from ...lint.rules import RULES
from ..explanations import explanation


def rules_text() -> str:
    """A line for each rule, by subject."""
    width = max(map(len, RULES))
    lines: list[str] = []
    for group, rules in groupby(sorted(RULES.values(), key=lambda rule: rule.group), key=lambda rule: rule.group):
        lines += ["", f"{group}:"] if lines else [f"{group}:"]
        lines += [f"  {rule.code:<{width}}  {_remark(rule):<8}  {explanation(rule.code).title}" for rule in rules]
    lines += ["", "warnings, which validate reports, too:"]
    lines += [f"  {code:<{width}}  {_warning_remark(code):<8}  {explanation(code).title}" for code in CHECK_WARNINGS]
    return "\n".join([*lines, "", "off: runs if it is selected. data: runs with --data."])


def _warning_remark(code: str) -> str:
    return "data" if code in DATA_WARNINGS else ""


def _remark(rule: Rule) -> str:
    return " ".join([*([] if rule.is_default else ["off"]), *(["data"] if rule.needs_data else [])])


def rules_json() -> str:
    rows = [
        {
            "code": rule.code,
            "group": rule.group,
            "title": explanation(rule.code).title,
            "severity": rule.severity,
            "default": rule.is_default,
            "needs_data": rule.needs_data,
        }
        for rule in RULES.values()
    ]
    return json.dumps(rows, indent=2)
