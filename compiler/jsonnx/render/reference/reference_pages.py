"""Generates pages of docs/ (limits, llms.txt) and the schemas.

`python -m jsonnx.render.reference.reference_pages [FOLDER]` writes the generated files below a folder; by default below
the repository's root.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ...frontend.schema.editor_schema import editor_schema_text
from ..diagnostics.diagnostics_json import diagnostics_schema
from ..schemas.diff_schema import diff_schema
from ..schemas.quantize_schema import quantize_schema
from ..schemas.run_schema import lock_schema, run_schema
from ..schemas.schema_parts import schema_text
from .limits_page import limits_page
from .llms_page import llms_page


def generated_files() -> dict[str, str]:
    """The text of every generated file, by its path in the repository."""
    return {
        "docs/language/limits.md": limits_page(),
        "docs/llms.txt": llms_page(),
        "schemas/model.schema.json": editor_schema_text(),
        "schemas/diagnostics.schema.json": schema_text(diagnostics_schema()),
        "schemas/run.schema.json": schema_text(run_schema()),
        "schemas/lock.schema.json": schema_text(lock_schema()),
        "schemas/diff.schema.json": schema_text(diff_schema()),
        "schemas/quantize.schema.json": schema_text(quantize_schema()),
    }


def main(folder: str = ".") -> None:
    for path, text in generated_files().items():
        file = Path(folder, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
