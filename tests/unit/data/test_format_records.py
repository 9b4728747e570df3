"""The records of the formats of data files: what the readers, the commands and the messages make of them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from jsonnx.core.files.data_formats import DATA_FORMATS, DataFormat, data_format, data_suffix_error
from jsonnx.core.files.file_kinds import file_kind
from jsonnx.core.system.installation import PACKAGE_BY_EXTRA

ROOT = Path(__file__).parents[3]
each_format = pytest.mark.parametrize("format", DATA_FORMATS, ids=lambda format: format.name)


@each_format
def test_a_record_names_a_reader_and_an_extra_that_exist(format: DataFormat) -> None:
    module, _, function = format.reader.partition(":")
    assert callable(getattr(import_module(f"jsonnx.data.tables.{module}"), function))
    assert not format.extra or format.extra in PACKAGE_BY_EXTRA


@each_format
def test_a_format_is_known_by_the_name_of_a_file(format: DataFormat) -> None:
    assert data_format(f"folder/DATA.{format.name.upper()}") == format
    assert data_suffix_error(f"data.{format.name}") is None
    assert (data_suffix_error(f"data.{format.name}.gz") is None) == format.is_text


@each_format
def test_a_signature_shows_the_kind_of_a_file(format: DataFormat) -> None:
    if format.signature:
        assert file_kind(format.signature + bytes(100)) == format.kind


def test_the_guide_lists_every_format() -> None:
    text = (ROOT / "docs/guides/data/index.md").read_text("utf-8")
    assert not [format.name for format in DATA_FORMATS if f".{format.name}`" not in text]
