"""The three forms of a spec in a RUN folder: as it was written, as it is trained, and without blocks; and its
tokenizers."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...core.diagnostics import Report
from ...core.files.run_layout import RunPaths
from ...frontend.expansion.expand import expand
from ..check.check import CheckedSpec
from ..check.sweep_plan import without_sweep


def spec_texts(paths: RunPaths, checked: CheckedSpec) -> dict[Path, str]:
    """The texts of the files by path; a spec that is a Python value has no text as it was written."""
    document = checked.source.value
    flat = expand(document, Report(checked.source.file))
    return {
        **({paths.source_spec: checked.source.text} if checked.source.text else {}),
        **({paths.expanded_spec: _json_text(flat.document)} if flat is not None else {}),
        paths.spec: _json_text(document),
        **{paths.tokenizer(name): text for name, text in _tokenizers(checked).items()},
    }


def _tokenizers(checked: CheckedSpec) -> dict[str, str]:
    """The texts of the tokenizers by the names that the spec gives them."""
    tokenizations = checked.network.tokenizations
    return {tokens.file_name: tokens.file.content.decode() for tokens in tokenizations if tokens.file is not None}


def spec_sha256(checked: CheckedSpec) -> str:
    """The hash of a spec with its overrides, whatever its formatting; without its search, which trains nothing."""
    text = json.dumps(without_sweep(checked.source).value, ensure_ascii=False, separators=(",", ":"))
    return sha256(text.encode(errors="surrogatepass")).hexdigest()


def _json_text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
