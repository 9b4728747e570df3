"""The page: what is in it, what is escaped, and the libraries that it contains."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from base64 import b64decode
from hashlib import sha256
from html.parser import HTMLParser
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx.core.invisible_characters import escape_invisible
from jsonnx.html_report.json_values import rounded, script_json
from jsonnx.html_report.page import LIBRARIES, report_page, waiting_page
from jsonnx.html_report.pictures import data_url, number_text, pixels, shown_sample, value_range

HOSTILE = "</script><script>document.title = 'attacked'</script><!-- \u2028 \ud800 <img src=x onerror=alert(1)>"
MAX_PAGE_BYTES = 3_000_000
ROOT = Path(__file__).parents[3]


class Elements(HTMLParser):
    """The elements of a page: the attributes of each, and the texts of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script" and self.get_starttag_text():
            self.scripts.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


def test_hostile_text_stays_in_its_element() -> None:
    page = Elements(report_page(HOSTILE, [{"name": HOSTILE}]))
    harmless = Elements(report_page("title", [{"name": "run"}]))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in harmless.elements]
    assert page.count("img") == 0
    assert json.loads(page.scripts[0])["runs"][0]["name"] == escape_invisible(HOSTILE)
    assert "<script>document" not in waiting_page(HOSTILE)


FACTS = {"facts": [], "notes": []}
RUNS_WITH_NAMES_OF_OBJECTS = [
    FACTS | {"name": "a", "history": {"toString": [1, 2], "__proto__": [3]}, "test": {"constructor": 1}},
    FACTS | {"name": "b", "history": {"loss": [1]}, "test": {"loss": 2}},
]
DRAWN = """
const fs = require("fs"), vm = require("vm");
const context = vm.createContext({ ResizeObserver: class {} });
for (const name of ["dom", "charts", "outputs", "run"]) {
  vm.runInContext(fs.readFileSync(`${process.argv[1]}/${name}.js`, "utf8"), context);
}
context.text = process.argv[2];
vm.runInContext(`
  lineChart = (options) => options; table = (title, titles, rows) => rows; section = (id, title, part) => part;
  Plot = {}; el = () => null; runs = parsed(text);
  counts = (name) => curveOfFigure(runs, name, false).series.map((line) => line.points.length);
  drawn = JSON.stringify([counts("toString"), counts("__proto__"), overviewSection(runs)]);`, context);
console.log(context.drawn);
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_metrics_may_be_called_like_properties_of_objects() -> None:
    assets = str(files("jsonnx.html_report") / "assets")
    command = ["node", "-e", DRAWN, assets, script_json(RUNS_WITH_NAMES_OF_OBJECTS)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    expected = [[2, 0, 0, 0], [1, 0, 0, 0]]
    expected.append([["best", "", ""], ["test constructor", 1, None], ["test loss", None, 2]])
    assert json.loads(result.stdout) == expected, result.stderr


def test_nothing_is_loaded() -> None:
    text = report_page("title", [])
    page = Elements(text)
    assert not [attributes for _, attributes in page.elements if {"src", "href", "srcset"} & attributes.keys()]
    policy = next(attributes["content"] for tag, attributes in page.elements if attributes.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert len(text.encode()) < MAX_PAGE_BYTES
    assert text == report_page("title", [])


def test_only_its_own_scripts_may_run() -> None:
    text = report_page("title", [])
    hashes = re.findall(r"'sha256-([^']+)'", text)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert [b64decode(digest) for digest in hashes] == [sha256(script.encode()).digest() for script in scripts]
    assert len(scripts) == len(LIBRARIES) + 1


def test_only_a_live_page_asks_its_server() -> None:
    assert "connect-src 'self'" in report_page("title", [], live=True)
    assert "fetch(" in report_page("title", [], live=True)
    assert "values.json" not in report_page("title", [])


def test_libraries_are_those_of_their_packages() -> None:
    folder = files("jsonnx.html_report") / "assets" / "libraries"
    rows = [line.split(" | ") for line in (folder / "README.md").read_text().splitlines() if ".js |" in line]
    assert {row[0] for row in rows} == LIBRARIES.keys()
    for row in rows:
        assert sha256((folder / row[0]).read_bytes()).hexdigest() == row[-1]
    page = report_page("title", [])
    for licence in LIBRARIES.values():
        assert (folder / licence).read_text() in page


def test_the_package_has_the_licences_of_the_libraries() -> None:
    libraries = files("jsonnx.html_report") / "assets" / "libraries"
    rows = [line.split(" | ") for line in (libraries / "README.md").read_text().splitlines() if ".js |" in line]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    licences = {name for row in rows for name in row[4].split(", ")}
    assert set(project["license"].split(" AND ")) == {"Apache-2.0", *licences}
    named = {path.name for pattern in project["license-files"] for path in ROOT.glob(pattern)}
    assert named == {"LICENSE", *LIBRARIES.values()}


def test_json_values() -> None:
    values = {"a": np.array([1.23456789, np.nan]), "b": np.int64(3), "c": [np.inf, np.bool_(True), np.float32(0.1)]}
    assert rounded(values) == {"a": [1.23457, None], "b": 3, "c": [None, True, 0.1]}
    assert json.loads(script_json({"<&>": HOSTILE})) == {"<&>": escape_invisible(HOSTILE)}
    assert not set("<>&") & set(script_json({"<&>": HOSTILE}))


@pytest.mark.parametrize("shape", [(5, 7), (6, 4, 1), (4, 5, 3), (4, 4, 4), (600, 300)])
def test_pictures(shape: tuple[int, ...]) -> None:
    image = pytest.importorskip("PIL.Image")
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    url = data_url(pixels(array, (0.0, 255.0)))
    decoded = np.asarray(image.open(BytesIO(b64decode(url.partition(",")[2]))))
    expected = array[::3, ::2] if shape == (600, 300) else array
    np.testing.assert_array_equal(decoded, expected[..., 0] if shape[2:] == (1,) else expected)


def test_shown_samples() -> None:
    assert value_range(np.array([0.0, 0.5])) == (0, 1)
    assert value_range(np.array([0, 200])) == (0, 255)
    assert value_range(np.array([0.0, 16.0, np.nan])) == (0, 16)
    assert shown_sample(np.array(HOSTILE, object), None) == {"text": HOSTILE}
    assert shown_sample(np.zeros((8, 8, 3)), (0, 1))["picture"].startswith("data:image/png;base64,")
    shown: dict[str, Any] = shown_sample(np.array([1.5, 2.0]), (0, 1), ["a", "b"])
    assert shown["values"] == [["a", "1.5"], ["b", "2"]]
    assert shown_sample(np.zeros(30), (0, 1), [f"{name}x" for name in "abcdefghijklmnopqrstuvwxyzABCD"])["omitted"] == 6
    assert shown_sample(np.zeros(99), (0, 1))["text"].endswith(", 0, … (99 numbers)")


def test_numbers_are_short() -> None:
    numbers = [True, 0.123456, 12345.6, 197690.4, -2e9, 3e12]
    assert [number_text(number) for number in numbers] == ["True", "0.12346", "12346", "197690", "-2000000000", "3e+12"]


def test_a_square_of_pixels_in_a_row_is_a_picture() -> None:
    image = np.arange(64.0)
    picture = shown_sample(image.reshape(8, 8), (0, 63))
    assert shown_sample(image, (0, 63)) == picture
    assert shown_sample(image, (0, 63), [f"pixel_{index}" for index in range(64)]) == picture
    assert "values" in shown_sample(image, (0, 63), [chr(65 + index) for index in range(64)])
    assert "text" in shown_sample(np.zeros(49), (0, 1))
