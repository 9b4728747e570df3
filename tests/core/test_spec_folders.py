"""The folders in which a spec may name data files."""

from __future__ import annotations

from pathlib import Path

from jsonnx.core.spec_folders import SpecFolders


def test_a_single_root_need_not_be_in_a_list(tmp_path: Path) -> None:
    """Otherwise each character of its path would be a folder, the root of the file system among them."""
    assert SpecFolders.of(tmp_path, "/srv/data").roots == (Path("/srv/data"),)
    assert SpecFolders.of(tmp_path, Path("/srv/data")).roots == (Path("/srv/data"),)
    assert SpecFolders.of(tmp_path, ["/srv/data", "/other"]).roots == (Path("/srv/data"), Path("/other"))
