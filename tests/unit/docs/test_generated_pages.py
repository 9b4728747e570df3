"""The generated pages are the same on every machine: no path, no setting and no order of a set is in them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from generate import pages

PRINT_PAGES = "import json; from generate.pages import generated_pages; print(json.dumps(generated_pages()))"
DOCS = Path(pages.__file__).parents[1]

ENVIRONMENTS = {
    "bare": {"PYTHONHASHSEED": "1", "NO_COLOR": "1", "COLUMNS": "40", "LC_ALL": "C"},
    "furnished": {
        "PYTHONHASHSEED": "2",
        "FORCE_COLOR": "1",
        "COLUMNS": "200",
        "JSONNX_DOCS_URL": "https://docs.example/jsonnx",
        "TZ": "Asia/Tokyo",
    },
}


def pages_in(environment: dict[str, str], folder: Path) -> dict[str, str]:
    """The pages that a process of its own generates, in another folder."""
    variables = {**os.environ, **environment, "PYTHONPATH": os.pathsep.join([str(DOCS), *sys.path])}
    command = [sys.executable, "-c", PRINT_PAGES]
    run = subprocess.run(command, env=variables, cwd=folder, capture_output=True, text=True, check=True)
    generated: dict[str, str] = json.loads(run.stdout)
    return generated


@pytest.mark.slow
def test_pages_do_not_depend_on_the_machine(tmp_path: Path) -> None:
    bare, furnished = (pages_in(environment, tmp_path) for environment in ENVIRONMENTS.values())
    assert [*bare] == [*furnished]
    assert [path for path in bare if bare[path] != furnished[path]] == []
    machine = re.compile("|".join(map(re.escape, {str(DOCS.parent), str(tmp_path.parent), sys.prefix, "/tmp/jsonnx"})))
    assert {path: match[0] for path, text in bare.items() if (match := machine.search(text))} == {}
