"""The page in a browser: charts, keys, widths, colors, print, and text that would like to be a script."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.chromium import Chromium, chromium_path
from support.commands import jsonnx

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium_path() is None, reason="no Chromium is installed"),
]

HOSTILE = "</script><script>window.attacked = true</script><img src=x onerror='window.attacked = true'>"
SPEC: dict[str, Any] = {
    "name": "pictures",
    "description": HOSTILE,
    "blocks": {
        "pair": {
            "inputs": ["x"],
            "layers": [
                {"type": "Conv2D", "filters": 4, "kernel_size": 3, "from": "x"},
                {"type": "ReLU"},
            ],
        }
    },
    "inputs": {"image": {"shape": [8, 8, 1]}},
    "layers": [
        {"type": "pair", "name": "first"},
        {"type": "GlobalAveragePooling2D"},
        {"type": "Dense", "name": "y", "units": 1, "activation": "sigmoid"},
    ],
    "labels": ["plain", HOSTILE],
    "training": {
        "data": {"train": "data.npz", "validation_split": 0.5},
        "loss": "binary_crossentropy",
        "metrics": ["accuracy"],
        "optimizer": "adam",
        "epochs": 3,
        "seed": 1,
    },
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 80)
    images = rng.random((80, 8, 8, 1)) * (0.3 + 0.7 * targets)[:, None, None, None]
    np.savez(folder / "data.npz", image=images.astype(np.float32), y=targets)
    (folder / "spec.json").write_text(json.dumps(SPEC))
    jsonnx("train", str(folder / "spec.json"), "-o", str(folder / "run"), "--quiet", "--report")
    return (folder / "run" / "report.html").as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as chromium:
        yield chromium


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_is_drawn(browser: Chromium, page: str, width: int, dark: bool) -> None:
    browser.console.clear()
    browser.open(page, width, 900, dark)
    assert browser.console == []  # no error, and no request
    assert browser.evaluate("document.documentElement.dataset.state") == "built"
    assert browser.evaluate("document.documentElement.dataset.error") is None
    sections = browser.evaluate("[...document.querySelectorAll('section')].map((section) => section.id)")
    assert sections == [
        "overview",
        "curves",
        "predictions",
        "examples",
        "network",
        "layers",
        "data",
        "resources",
        "files",
    ]
    assert browser.evaluate("[...document.querySelectorAll('.plot')].every((plot) => plot.querySelector('svg'))")
    assert browser.evaluate("document.querySelectorAll('.plot svg[aria-label]').length") >= 8
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    images = "[...document.querySelectorAll('.examples img')].map((image) => image.naturalWidth)"
    assert set(browser.evaluate(images)) == {8}
    lightness = browser.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
    assert (lightness < 60) is dark


def test_text_of_specs_is_inert(browser: Chromium, page: str) -> None:
    browser.open(page)
    assert browser.evaluate("window.attacked") is None
    assert browser.evaluate("document.querySelector('.matrix th[scope=col]:nth-of-type(2)').textContent") == HOSTILE
    assert browser.evaluate("document.querySelectorAll('script:not([type])').length") == 4
    injected = "document.body.append(Object.assign(document.createElement('script'), {text: 'window.attacked = true'}))"
    browser.evaluate(f"void {injected}")
    assert browser.evaluate("window.attacked") is None
    browser.console.clear()


def test_blocks_and_thresholds_by_keyboard(browser: Chromium, page: str) -> None:
    browser.open(page)
    layers = "document.querySelectorAll('.network g.layer').length"
    assert browser.evaluate(layers) == 4
    browser.evaluate("document.querySelector('.network [role=button]').focus()")
    browser.press("Enter", 13)
    assert browser.evaluate(layers) == 2
    assert browser.evaluate("document.activeElement.getAttribute('aria-expanded')") == "false"
    browser.press(" ", 32)
    assert browser.evaluate(layers) == 4
    browser.evaluate("document.querySelector('input[type=range]').focus()")
    before = browser.evaluate("document.querySelector('[aria-live]').textContent")
    browser.press("Home", 36)
    assert browser.evaluate("document.querySelector('[aria-live]').textContent") != before


def test_values_are_shown_as_tables(browser: Chromium, page: str) -> None:
    browser.open(page)
    rows = "document.querySelectorAll('#curves figure:first-child tbody tr').length"
    assert browser.evaluate(rows) == 0
    browser.evaluate("document.querySelector('#curves figure summary').focus()")
    browser.press("Enter", 13)
    browser.pause(0.2)
    assert browser.evaluate(rows) == 6  # three epochs of training and of validation


def test_it_prints(browser: Chromium, page: str, tmp_path: Path) -> None:
    browser.open(page, dark=True)
    browser.print_to_pdf(tmp_path / "page.pdf")
    content = (tmp_path / "page.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert len(content) > 50_000
