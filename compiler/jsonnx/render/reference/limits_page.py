"""Generates docs/language/limits.md from the table of limits."""

from __future__ import annotations

from itertools import groupby

from ...core.limits import GIB, LIMITS, MIB, Limit

INTRODUCTION = """\
# Limits

Input beyond a limit is rejected with the error `too-large`, `too-deep`, `out-of-range` or, in a damaged file,
`damaged-file`, before work that would cost more than the check. So `validate` and `summary` need seconds and some
hundred megabytes for any spec, and `import` and `inspect` for any file.

The limits are in `core/limits.py`; this page is generated from it. The pages of [layers](../reference/layers/index.md)
have the ranges of single arguments."""


def limits_page() -> str:
    """docs/language/limits.md: all limits with their units."""
    lines = [INTRODUCTION]
    for subject, limits in groupby(LIMITS.items(), key=lambda item: item[1].subject):
        lines += ["", f"## {subject}", "", "name | limit | of what", "---|---|---"]
        lines += [f"`{name}` | {amount_text(limit)} | {limit.meaning}" for name, limit in limits]
    return "\n".join([*lines, ""])


LIMITS_IN_HELP = (
    "MAX_SPEC_BYTES",
    "MAX_JSON_DEPTH",
    "MAX_JSON_VALUES",
    "MAX_NAME_CHARACTERS",
    "MAX_LAYERS",
    "MAX_BLOCK_DEPTH",
    "MAX_EXPANDED_ENTRIES",
    "MAX_EXPRESSION_STEPS",
    "MAX_ELEMENTS_PER_SAMPLE",
    "MAX_OPERATORS",
    "MAX_WEIGHTS_BYTES",
    "MAX_READ_SECONDS",
)
"""The limits that the help of `jsonnx validate` shows."""


def limits_in_help() -> list[tuple[str, str]]:
    """The amounts and the subjects of those limits, without what follows a colon."""
    limits = [LIMITS[name] for name in LIMITS_IN_HELP]
    return [(amount_text(limit), limit.meaning.partition(":")[0].rstrip(".")) for limit in limits]


def amount_text(limit: Limit) -> str:
    """The number and the unit of a limit: `32 MiB`, `20,000 layers`."""
    if limit.unit == "bytes":
        return f"{limit // GIB} GiB" if limit % GIB == 0 else f"{limit // MIB} MiB"
    return f"{limit:,} {limit.unit}"
