"""The section of the page that shows drift, in a browser."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest
from support.chromium import Chromium, chromium_path
from support.commands import jsonnx
from support.served_process import ServedProcess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium_path() is None, reason="no Chromium is installed"),
]

SAMPLES = Path(__file__).parents[4] / "samples"


def shown(browser: Chromium, address: str, condition: str) -> str:
    """The text of the section once a condition holds."""
    browser.open("about:blank")
    browser.open(address)
    for _ in range(100):
        if browser.evaluate(condition):
            return str(browser.evaluate("document.getElementById('drift').innerText"))
        browser.pause(0.05)
    raise AssertionError(condition)


def test_the_page_shows_the_drift_of_requests_or_why_not(tmp_path: Path) -> None:
    spec = str(SAMPLES / "penguins.json")
    jsonnx("train", spec, "-o", str(tmp_path / "new"), "--quiet")
    jsonnx("train", spec, "-o", str(tmp_path / "bare"), "--quiet", "--set", "training.data.statistics=false")
    rows = (SAMPLES / "data/penguins_test.csv").read_bytes().replace(b"Biscoe", b"Anvers")
    with ServedProcess([str(tmp_path / "new"), str(tmp_path / "bare")]) as server, Chromium() as browser:
        request = urllib.request.Request(f"{server.url}/predict/new", rows, {"content-type": "text/csv"})
        with urllib.request.urlopen(request) as response:
            assert len(json.load(response)["predictions"]) == 82
        text = shown(browser, f"{server.url}/#new", "document.querySelectorAll('#drift tbody tr').length === 7")
        reason = shown(browser, f"{server.url}/#bare", "document.querySelector('#drift p')?.textContent")
    island = next(line for line in text.splitlines() if line.startswith("island"))
    assert island.split("\t")[1:4] == ["82", "0", "46 (56.1 %)"]
    assert island.endswith("large")
    assert "Not compared with the training data: the model has no data_statistics.json" in reason
