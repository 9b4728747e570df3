"""The requests on standard input, as text that the SDK can parse."""

from __future__ import annotations

import json
import re
from io import TextIOWrapper

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class RequestReader(TextIOWrapper):
    """Lines with U+FFFD in place of each lone surrogate: the SDK never answers a request that has one."""

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        return without_lone_surrogates(super().readline(size))


def without_lone_surrogates(line: str) -> str:
    """A text of JSON, with U+FFFD in place of each escaped lone surrogate. Other texts are left to the SDK."""
    if not _SURROGATE_ESCAPE.search(line):
        return line
    try:
        text = json.dumps(json.loads(line), ensure_ascii=False)
    except (ValueError, RecursionError):
        return line
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
