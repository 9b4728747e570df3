"""The built site in a browser, from files: its search, keyboard, widths and colors, and every link."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote_plus, unquote, urldefrag

import pytest
from support.chromium import Chromium

SITE = Path(__file__).parents[3] / "build/docs"

SEARCHES = {
    "missing values": "guides/data/missing-values",
    "multi-label": "guides/data/multi-label",
    "log target": "guides/data/targets",
    "learning rate decay": "guides/training/learning-rate",
    "class weights": "guides/training/imbalanced-classes",
    "resume": "guides/training/resume",
    "save model": "guides/deploy/save-a-model",
    "onnx int8": "guides/deploy/smaller-models",
    "docker": "guides/deploy/containers",
    "lstm return sequences": "language/recurrent-layers",
    "custom loss": "guides/training/custom-losses",
    "early stopping": "guides/training/early-stopping",
    "image folder": "guides/data/images",
    "freeze layers": "guides/training/fine-tuning",
    "transfer": "guides/training/fine-tuning",
    "confusion matrix": "guides/training/metrics",
    "threshold": "guides/training/thresholds",
    "seed reproducible": "guides/training/reproducibility",
    "gpu": "guides/deploy/gpu",
    "pytorch to keras names": "reference/pytorch-names",
    "shape-mismatch": "reference/errors/shape-mismatch",
    "Conv2D": "reference/layers/Conv2D",
    "adamw": "reference/optimizers/adamw",
    "jsonnx train": "reference/commands/train",
}
"""The page that answers each search."""

LOOKED_AT = (
    "index",
    "start/index",
    "start/concepts",
    "guides/index",
    "guides/data/index",
    "gallery/index",
    "gallery/mnist_cnn",
    "reference/index",
    "reference/layers/LSTM",
    "reference/layers/GroupNormalization",
    "reference/errors/shape-mismatch",
    "reference/commands/train",
    "reference/python/Trainer",
)
"""Pages that are opened at both widths."""

PAGES = sorted(page for page in SITE.rglob("*.html") if not page.is_relative_to(SITE / "_static"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as chromium:
        yield chromium


def address(page: str) -> str:
    return (SITE / f"{page}.html").as_uri()


def results(browser: Chromium) -> list[str]:
    """The pages that a search has found, best first."""
    for _ in range(50):
        if browser.evaluate("document.querySelector('.search-summary')?.innerText ?? ''"):
            break
        browser.pause(0.1)
    found = browser.evaluate("[...document.querySelectorAll('ul.search > li > a')].map((a) => a.getAttribute('href'))")
    return [urldefrag(target.partition("?")[0])[0].removesuffix(".html") for target in found]


@pytest.mark.parametrize("query", SEARCHES)
def test_the_first_result_of_a_search_is_its_page(query: str, browser: Chromium) -> None:
    browser.open(f"{address('search')}?q={quote_plus(query)}")
    assert results(browser)[:1] == [SEARCHES[query]]


def test_the_search_works_by_keyboard(browser: Chromium) -> None:
    browser.open(address("guides/index"))
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="k", code="KeyK", windowsVirtualKeyCode=75, modifiers=2)
    browser.pause(0.3)
    assert browser.evaluate("document.activeElement.type") == "search"
    browser.call("Input.insertText", text="early stopping")
    browser.press("Enter", 13)
    time.sleep(2)
    assert results(browser)[0] == SEARCHES["early stopping"]
    assert SEARCHES["early stopping"] in browser.evaluate("document.activeElement.href")


def test_a_search_without_results_offers_its_words(browser: Chromium) -> None:
    browser.open(f"{address('search')}?q=dropout+zzzz")
    browser.pause(1)
    assert results(browser) == []
    offered = browser.evaluate("[...document.querySelectorAll('.search-summary a')].map((link) => link.innerText)")
    assert offered == ["dropout", "zzzz"]


@pytest.mark.parametrize("page", LOOKED_AT)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_fits_its_window_and_needs_no_network(page: str, width: int, dark: bool, browser: Chromium) -> None:
    browser.console.clear()
    browser.open(address(page), width=width, dark=dark)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 384) == dark
    assert browser.console == []


def test_the_keyboard_reaches_the_content(browser: Chromium) -> None:
    browser.open(address("guides/index"))
    browser.press("Tab", 9)
    assert "Skip" in browser.evaluate("document.activeElement.innerText")
    browser.press("Enter", 13)
    browser.press("Tab", 9)
    assert browser.evaluate("document.querySelector('main').contains(document.activeElement)")


# -- links -------------------------------------------------------------------------------------------------------------


class Links(HTMLParser):
    """The targets of links and the identifiers of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.names |= {name for key in ("id", "name") if (name := values.get(key))}
        self.targets += [target for key in ("href", "src") if (target := values.get(key))]


def test_every_link_leads_to_a_page_and_its_part() -> None:
    links = {page: Links(page.read_text("utf-8")) for page in PAGES}
    broken = set()
    for page, found in links.items():
        for target in found.targets:
            path, anchor = urldefrag(target)
            if re.match(r"[a-z]+:", target):
                continue
            file = (page.parent / unquote(path.partition("?")[0])).resolve() if path else page
            if not file.exists() or (anchor and file in links and unquote(anchor) not in links[file].names):
                broken.add((str(page.relative_to(SITE)), target))
    assert not broken


def test_every_page_is_in_the_navigation_of_its_section() -> None:
    """Breadcrumbs lead from each page to its section."""
    for page in PAGES:
        if len(page.relative_to(SITE).parts) > 1:
            assert "breadcrumb-item active" in page.read_text("utf-8"), page
