"""The gallery: a page for each sample, with its pictures, and figures that a run of the present spec gave."""

from __future__ import annotations

import json
import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from support.colors import contrast

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "docs"))

from generate.gallery.charts import COLORS, nice_ticks, number, spread, training_chart  # noqa: E402
from generate.gallery.gallery import GALLERY, GALLERY_SAMPLES, SAMPLES, spec_digest, with_figures  # noqa: E402

MAX_IMAGE_BYTES = 60_000
RECORD = json.loads((GALLERY / "figures.json").read_text("utf-8"))
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)]*)\)")
LIGHT_PAGES, DARK_PAGES = ("#ffffff",), ("#14181e", "#0d1117")
"""The backgrounds of the site and of GitHub."""

each_sample = pytest.mark.parametrize("name", GALLERY_SAMPLES)


def page_of(name: str) -> str:
    return (GALLERY / f"{name}.md").read_text("utf-8")


def one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_each_sample_is_in_the_gallery() -> None:
    samples = {path.stem for path in SAMPLES.glob("*.json")}
    assert set(GALLERY_SAMPLES) == set(RECORD) == samples
    assert {path.stem for path in GALLERY.glob("*.md")} == samples | {"index"}


@each_sample
def test_the_index_shows_the_sample(name: str) -> None:
    index = page_of("index")
    assert re.search(rf"^{name}$", index, re.MULTILINE), "the toctree lacks it"
    assert index.count(f"]({name}.md)") == 2, "a card has a picture and a title"


@each_sample
def test_the_figures_are_of_the_present_spec(name: str) -> None:
    assert RECORD[name]["spec_sha256"] == spec_digest(name), f'run `make gallery GALLERY="{name}"`'


@each_sample
def test_the_page_has_the_figures_of_the_record(name: str) -> None:
    page = page_of(name)
    assert "| parameters |" in page
    assert with_figures(page, RECORD[name]) == page, f'run `make gallery GALLERY="{name}"`'


def test_a_figure_of_another_run_is_found() -> None:
    changed = {**RECORD["penguins"], "parameters": 1}
    assert with_figures(page_of("penguins"), changed) != page_of("penguins")


@each_sample
def test_the_spec_is_included_and_explained_by_what_it_says(name: str) -> None:
    page = page_of(name)
    assert f"```{{literalinclude}} ../../samples/{name}.json\n" in page
    explanations = page.partition("\n## The spec\n")[2].partition("\n## ")[0]
    fragments = re.findall(r"^- `([^`]+)`", explanations, re.MULTILINE)
    assert len(fragments) >= 4
    spec = one_line((SAMPLES / f"{name}.json").read_text("utf-8"))
    assert [fragment for fragment in fragments if one_line(fragment) not in spec] == []


@each_sample
def test_the_page_shows_its_pictures(name: str) -> None:
    shown = {target for _, target in IMAGE.findall(page_of(name))}
    assert shown == {f"images/{path.name}" for path in (GALLERY / "images").iterdir() if belongs(path, name)}


def belongs(path: Path, name: str) -> bool:
    return path.stem.rpartition("_")[0] == name


@each_sample
def test_pictures_say_what_is_seen(name: str) -> None:
    for text, _ in IMAGE.findall(page_of(name)):
        assert len(text) > 25


def test_pictures_are_small_and_all_of_them_are_of_a_sample() -> None:
    for path in (GALLERY / "images").iterdir():
        assert path.stat().st_size < MAX_IMAGE_BYTES, path.name
        assert any(belongs(path, name) for name in GALLERY_SAMPLES), path.name


# -- charts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in COLORS if name != "grid"])
def test_the_colors_of_charts_are_read_on_light_and_on_dark_pages(name: str) -> None:
    light, dark = COLORS[name]
    assert min(contrast(light, page) for page in LIGHT_PAGES) >= 4.5
    assert min(contrast(dark, page) for page in DARK_PAGES) >= 4.5
    # A browser that does not tell the image the color scheme of the page shows the other tone.
    assert min(contrast(light, page) for page in DARK_PAGES) >= 2.5
    assert min(contrast(dark, page) for page in LIGHT_PAGES) >= 2.5


def test_a_chart_labels_the_last_values() -> None:
    chart = training_chart("loss", {"training": [3.0, 1.0], "validation": [3.5, 1.25]}, 1.2)
    assert re.findall(r">(\w+ [\d.]+)<", chart) == ["training 1", "validation 1.25", "test 1.2"]
    assert chart == training_chart("loss", {"training": [3.0, 1.0], "validation": [3.5, 1.25]}, 1.2)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.013, 0.774), (2532.0, 6100.0), (1.0, 1.0), (-3.0, 2.0)])
def test_ticks_enclose_the_values(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low + 1e-9
    assert ticks[-1] >= high - 1e-9
    assert len(ticks) <= 7


def test_labels_do_not_overlap() -> None:
    heights = sorted(spread([100.0, 101.0, 99.0, 204.0, 204.0]))
    assert min(after - before for before, after in pairwise(heights)) >= 13.9
    assert heights[-1] <= 204


@pytest.mark.parametrize(
    ("value", "text"), [(0.001974, "0.00197"), (1.0, "1"), (3061.8, "3,062"), (40.42, "40.4"), (0.0, "0"), (0.8, "0.8")]
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text
