"""The rule on what a spec silences. It is the last one, since the others tell what is silenced."""

from __future__ import annotations

from collections.abc import Iterator

from ...core.fixes import remove_key
from ..linted_network import LintedNetwork
from ..rule import Finding, rule

UNUSED_SILENCE = "unused-silence"


@rule(
    "unused-silence",
    "A silence that silences nothing",
    "`lint.ignore` names a rule that finds nothing there. What it was for has been mended, or moved to another layer; "
    "left in place, it would hide the next mistake. Rules that did not run are not counted.",
    wrong='{"layers": [{"type": "Dense", "units": 3}], "lint": {"ignore": ["dropout-rate"]}}',
    right='{"layers": [{"type": "Dropout", "rate": 0.9}, {"type": "Dense", "units": 3}], "lint": {"ignore": '
    '["dropout-rate"]}}',
)
def unused_silence(network: LintedNetwork) -> Iterator[Finding]:
    silences = network.silences
    for index, silence in enumerate(silences.entries if silences is not None else ()):
        if silences is not None and index not in silences.used and silence.code in network.codes:
            path = ("lint", "ignore", index)
            where = "" if silence.layers is None else " at these layers"
            yield Finding(path, f"{silence.code!r} finds nothing{where}", "remove it", fix=remove_key(path))
