"""The committed reference pages and schemas are up to date with `make generate`."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonnx.render.reference.reference_pages import generated_files

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("path", "text"), generated_files().items(), ids=list(generated_files()))
def test_a_generated_file_is_up_to_date(path: str, text: str) -> None:
    assert (ROOT / path).read_text("utf-8") == text, "run `make generate`"
