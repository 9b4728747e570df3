"""The rule on what a spec silences. It is the last one, since the others tell what is silenced."""

from __future__ import annotations

from collections.abc import Iterator

from ...core.fixes import remove_key
from ..linted_network import LintedNetwork
from ..rule import Finding, rule

UNUSED_SILENCE = "unused-silence"


@rule("unused-silence")
def unused_silence(network: LintedNetwork) -> Iterator[Finding]:
    silences = network.silences
    for index, silence in enumerate(silences.entries if silences is not None else ()):
        if silences is not None and index not in silences.used and silence.code in network.codes:
            path = ("lint", "ignore", index)
            where = "" if silence.layers is None else " at these layers"
            fix = None if silence.has_reason else remove_key(path)
            yield Finding(path, f"{silence.code!r} finds nothing{where}", "remove it", fix=fix)
