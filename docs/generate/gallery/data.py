"""A look at the data of each sample: charts of tables and series, excerpts of texts, mosaics of pictures."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from .charts import bar_chart, line_chart, scatter_chart, text_cards

DATA = Path(__file__).parents[3] / "samples/data"
GAP_PIXELS = 6

Picture = tuple[str, bytes]
"""The suffix and the contents of a file."""


def rows_of(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def penguins() -> Picture:
    rows = rows_of("penguins_train.csv")
    groups = {
        species: [
            (float(row["bill_length_mm"]), float(row["flipper_length_mm"])) for row in rows if row["species"] == species
        ]
        for species in ("Adelie", "Chinstrap", "Gentoo")
    }
    return ".svg", scatter_chart("length of a flipper, mm", "length of the bill, mm", groups).encode()


def diabetes() -> Picture:
    points = [(float(row["bmi"]), float(row["progression"])) for row in rows_of("diabetes_train.csv")]
    return ".svg", scatter_chart("progression of the disease", "body mass index", {"": points}, right=16).encode()


def shares(rows: Sequence[dict[str, str]], key: Callable[[dict[str, str]], str], wanted: str) -> dict[str, float]:
    """The percentage of rows whose last column is `wanted`, by the value of `key`."""
    groups: dict[str, list[bool]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(list(row.values())[-1] == wanted)
    return {name: 100 * sum(groups[name]) / len(groups[name]) for name in sorted(groups)}


def flights() -> Picture:
    late = shares(rows_of("flights_train.csv"), lambda row: row["scheduled"][11:13], "late")
    return ".svg", bar_chart("late flights, %", "scheduled hour of departure", late, list(late)[::3]).encode()


def crashes() -> Picture:
    dead = shares(rows_of("crashes_train.csv"), lambda row: row["speed_change"], "dead")
    bars = {name.removesuffix("km/h"): value for name, value in dead.items()}
    return ".svg", bar_chart("occupants who died, %", "change of speed, km/h", bars).encode()


def bicycles() -> Picture:
    week = [float(row["rented"]) for row in rows_of("bicycles.csv")[24 * 156 : 24 * 163]]
    days: dict[float, str] = dict(
        zip(range(12, 168, 24), ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), strict=True)
    )
    return ".svg", line_chart("bicycles rented in an hour", "6 to 12 June 2011", {"": week}, days).encode()


def reviews() -> Picture:
    rows = rows_of("reviews_train.csv")
    colors = {"negative": "orange", "positive": "green"}
    chosen = [row for row in rows[:40] if len(row["review"]) < 120][:4]
    return ".svg", text_cards([(row["sentiment"], colors[row["sentiment"]], row["review"]) for row in chosen]).encode()


def questions() -> Picture:
    rows = rows_of("questions_train.csv")[:4]
    colors = {"no": "orange", "yes": "green"}
    cards = [(row["same"], colors[row["same"]], f"{row['first']} / {row['second']}") for row in rows]
    return ".svg", text_cards(cards).encode()


def vowels() -> Picture:
    with np.load(DATA / "vowels_train.npz") as file:
        frames, speakers = file["frames"], file["speaker"]
    lines = {}
    for speaker in (0, 3, 6):
        utterance = frames[speakers == speaker][0]
        count = int((utterance != 0).any(axis=1).sum())
        lines[f"speaker {speaker + 1}"] = [float(value) for value in utterance[:count, 0]]
    last = max(map(len, lines.values())) - 1
    return ".svg", line_chart("first LPC coefficient", "frame", lines, {0: "1", last: str(last + 1)}).encode()


def png(mosaic: np.ndarray[Any, Any]) -> Picture:
    from PIL import Image

    contents = BytesIO()
    Image.fromarray(mosaic).save(contents, "png", optimize=True)
    return ".png", contents.getvalue()


def mosaic(pictures: Sequence[np.ndarray[Any, Any]], columns: int, zoom: int) -> Picture:
    """Pictures of one size in rows, with transparent gaps."""
    height, width = (size * zoom for size in pictures[0].shape)
    count = -(-len(pictures) // columns)
    canvas = np.zeros(
        (count * (height + GAP_PIXELS) - GAP_PIXELS, columns * (width + GAP_PIXELS) - GAP_PIXELS, 2), np.uint8
    )
    for index, picture in enumerate(pictures):
        y, x = (index // columns) * (height + GAP_PIXELS), (index % columns) * (width + GAP_PIXELS)
        canvas[y : y + height, x : x + width, 0] = picture.repeat(zoom, axis=0).repeat(zoom, axis=1)
        canvas[y : y + height, x : x + width, 1] = 255
    return png(canvas)


def each_digit(name: str, count: int, brightest: int) -> list[np.ndarray[Any, Any]]:
    """The first `count` pictures of each digit."""
    with np.load(DATA / name) as file:
        pictures, labels = file["image"].squeeze(), file["label"]
    chosen = [pictures[labels == digit][index] for index in range(count) for digit in range(10)]
    return [(picture.astype(int) * 255 // brightest).astype(np.uint8) for picture in chosen]


def mnist() -> Picture:
    return mosaic(each_digit("mnist_train.npz", 5, 255), columns=10, zoom=1)


def digits() -> Picture:
    return mosaic(each_digit("digits_train.npz", 5, 16), columns=10, zoom=4)


def few_digits() -> Picture:
    return mosaic(each_digit("digits_few.npz", 5, 16), columns=10, zoom=4)


def gray(path: Path) -> np.ndarray[Any, Any]:
    from PIL import Image

    return np.asarray(Image.open(path).convert("L"))


def textures() -> Picture:
    folders = ("brick", "grass", "gravel")
    files = [path for name in folders for path in sorted((DATA / "textures_train" / name).iterdir())[:40:8]]
    return mosaic([gray(path) for path in files], columns=5, zoom=1)


def nuclei() -> Picture:
    rows = rows_of("nuclei_train.csv")[:40:8]
    return mosaic([gray(DATA / row[column]) for column in ("image", "mask") for row in rows], columns=5, zoom=1)
