"""Tests with clusters of Ray, which only `run.sh` of this folder runs; a cluster of two workers for all of them."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from environments.ray.trainings import LONG, finish, start, write_project

collect_ignore_glob = [] if "JSONNX_RAY_TESTS" in os.environ else ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def ray_folder() -> Iterator[str]:
    """The folder of the sessions of Ray; short, since its sockets have names of at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="jxr", ignore_cleanup_errors=True) as folder:
        os.environ["RAY_TMPDIR"] = folder
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}  # for nodes that join, too
        yield folder


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec, its data, and the runs of one machine: `one` and, with LONG, `long`."""
    folder = tmp_path_factory.mktemp("project")
    write_project(folder)
    for name, options in (("one", []), ("long", LONG)):
        finish(start(folder, "-o", name, *options))
    return folder
