"""The committed reference pages and schemas are up to date with `make generate`."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonnx.render.reference.generated_sources import generated_sources
from jsonnx.render.reference.reference_pages import generated_files

ROOT = Path(__file__).parents[3]
FILES = generated_sources() | generated_files()


@pytest.mark.parametrize(("path", "text"), FILES.items(), ids=list(FILES))
def test_a_generated_file_is_up_to_date(path: str, text: str) -> None:
    assert (ROOT / path).read_text("utf-8") == text, "run `make generate`"
