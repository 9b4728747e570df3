"""A preview of augmented images: originals beside versions that the layers of a spec make of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...backend import to_model_proto
from ...core.diagnostics import UsageError, or_list
from ...core.files.files import refuse_overwrite, write_atomically
from ...core.files.spec_folders import SpecFolders
from ...core.files.spec_source import SpecSource
from ...core.files.user_files import UserFiles
from ...core.invisible_characters import escape_html
from ...data.samples.dataset import Dataset
from ...data.samples.sample_order import generator
from ...data.samples.stored_arrays import read_rows
from ...html_report.pictures import data_url, is_picture, pixels, png_bytes, value_range
from ...runtime.session.session import Session
from ...runtime.training_plan import AugmentedInput
from ..check.check import CheckedSpec
from ..check.data_spec import data_spec_of, input_spec
from ..train.plan_training import augmented_inputs
from ..train.run_data import DataFiles, read_part, read_split

IMAGE_COUNT, VERSION_COUNT = 6, 7
"""The images of a preview, and the augmented versions of each."""
MAX_CELL_SIDE = 128
"""Pixels; of larger images, rows and columns are left out."""
MIN_CELL_SIDE = 64
"""Pixels of the longer side that smaller images are enlarged to, at least."""
GAP, ORIGINAL_GAP = 4, 12
"""Pixels between two versions, and between the original and the first version."""
WHITE = 255
SUFFIXES = (".html", ".png")

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>body {{ font-family: sans-serif; margin: 2em }} figure {{ margin: 1em 0 }} img {{ display: block }}</style>
<h1>{title}</h1>
<p>{text}</p>
{figures}
"""


class _Row(NamedTuple):
    """An image and its augmented versions side by side."""

    caption: str
    pixels: np.ndarray


def write_preview(checked: CheckedSpec, file: Path, data: UserFiles | None, data_roots: Sequence[str]) -> int:
    """Writes a page or a picture of the first training images, each beside augmented versions, and returns the number
    of images. Raises UsageError, and CompileError with every error in the data."""
    if file.suffix.lower() not in SUFFIXES:
        raise UsageError(
            "bad-option", f"cannot write {str(file)!r}", f"a preview is a file that ends in {or_list(SUFFIXES)}"
        )
    refuse_overwrite(checked.files, [file])
    typed, objective = checked.require(), checked.objective
    training = typed.network.training
    augmented = augmented_inputs(typed, training) if training is not None else ()
    if not augmented:
        message = "the network has no layer that augments images"
        raise UsageError("bad-option", message, "`jsonnx layers` lists them, such as RandomFlip and RandomRotation")
    data_spec = data_spec_of(typed, objective) if objective is not None else input_spec(typed)
    source = SpecSource(checked.source.file, checked.locate, SpecFolders.of(checked.folder, data_roots).roots)
    section, files = training.data if training is not None else None, DataFiles(data)
    samples = read_split(section, files, data_spec, source).get("train")
    samples = samples or read_part("train", section, files, data_spec, source)
    if samples is None:
        raise UsageError("no-data", "the spec names no training data", "name a file with --data")
    rows = [*_Preview(augmented, samples, checked.seed(None)).rows()]
    if file.suffix.lower() == ".png":
        write_atomically(file, png_bytes(_below_one_another([row.pixels for row in rows])))
    else:
        write_atomically(file, _page(checked.network.name, augmented, rows).encode())
    return len(rows)


def _page(name: str, augmented: Sequence[AugmentedInput], rows: Sequence[_Row]) -> str:
    layers = ", ".join(f"{type(one.layer).__name__} ({one.name.partition('/')[0]})" for one in augmented)
    text = f"Each image beside {VERSION_COUNT} versions, as training steps draw them. Layers: {layers}."
    figures = "\n".join(
        f'<figure><figcaption>{escape_html(row.caption)}</figcaption><img alt="" src="{data_url(row.pixels)}"></figure>'
        for row in rows
    )
    return _PAGE.format(title=escape_html(f"{name}: augmented images"), text=escape_html(text), figures=figures)


@dataclass(frozen=True)
class _Preview:
    """The first images of some samples, and their augmented versions."""

    augmented: Sequence[AugmentedInput]
    samples: Dataset
    seed: int

    def rows(self) -> Iterator[_Row]:
        """The images, for the last one of each sequence of augmentation layers."""
        count = min(IMAGE_COUNT, len(self.samples))
        versions = [self._step(count, step) for step in range(VERSION_COUNT)]
        sources = {one.name: one.source for one in self.augmented}
        captions = self._captions(count)
        for name in sources.keys() - {*sources.values()}:
            origin = name
            while origin in sources:
                origin = sources[origin]
            for row in range(count):
                images = [versions[0][origin][row], *(arrays[name][row] for arrays in versions)]
                yield _Row(captions[row], _strip(images))

    def _step(self, count: int, step: int) -> dict[str, np.ndarray]:
        """The images before and behind each augmentation layer in a training step, channels last."""
        feeds, images = self.samples.take(slice(count)), dict[str, np.ndarray]()
        for one in self.augmented:
            values: Mapping[str, np.ndarray] = feeds
            if (session := self._sessions.get(one.name)) is not None:
                values = session.run({name: feeds[name] for name in session.inputs})
            seed = self.seed if one.layer.seed is None else one.layer.seed
            feeds[one.name], _ = one.layer.augment(values[one.source], generator(seed, one.name, step))
            for name, array in ((one.source, values[one.source]), (one.name, feeds[one.name])):
                channels_first = getattr(one.layer, "data_format", None) == "channels_first"
                images[name] = array.transpose(0, 2, 3, 1) if channels_first else array
        return images

    @cached_property
    def _sessions(self) -> dict[str, Session]:
        """The parts of the network before augmentation layers, where these are not the first."""
        return {one.name: Session(to_model_proto(one.graph)) for one in self.augmented if one.graph is not None}

    def _captions(self, count: int) -> list[str]:
        """The class of each image, if the only target is one of named classes, else its number."""
        labels = self.samples.data_spec.labels
        for output, target in self.samples.targets.items():
            values = np.asarray(read_rows(target, slice(count))).reshape(count, -1)
            if len(self.samples.targets) == 1 and output in labels and values.shape[1] == 1:
                return [labels[output][int(value)] for value in values[:, 0]]
        return [f"sample {number}" for number in range(1, count + 1)]


def _strip(images: Sequence[np.ndarray]) -> np.ndarray:
    """An original and its versions side by side, in colors that are equal where values are."""
    limits = value_range(np.asarray(images[0]))
    cells = [_cell(image, limits) for image in images]
    height = max(cell.shape[0] for cell in cells)
    parts = []
    for number, cell in enumerate(cells):
        gap = 0 if number == len(cells) - 1 else GAP if number else ORIGINAL_GAP
        parts.append(np.pad(cell, ((0, height - cell.shape[0]), (0, gap), (0, 0)), constant_values=WHITE))
    return np.concatenate(parts, axis=1)


def _cell(image: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """The pixels of an image, [height, width, 3], small enough or large enough to be seen."""
    if not is_picture(image.shape):
        message = f"images of the shape {list(image.shape)} cannot be drawn"
        raise UsageError("bad-option", message, "a picture has 1, 3 or 4 channels")
    drawn = pixels(image[tuple(slice(None, None, -(-size // MAX_CELL_SIDE)) for size in image.shape[:2])], limits)
    drawn = drawn[..., None] if drawn.ndim == 2 else drawn
    drawn = np.repeat(drawn, 3, axis=2) if drawn.shape[2] == 1 else drawn[..., :3]
    factor = -(-MIN_CELL_SIDE // max(drawn.shape[:2]))
    return drawn.repeat(factor, axis=0).repeat(factor, axis=1)


def _below_one_another(strips: Sequence[np.ndarray]) -> np.ndarray:
    width = max(strip.shape[1] for strip in strips)
    padded = [np.pad(strip, ((0, GAP), (0, width - strip.shape[1]), (0, 0)), constant_values=WHITE) for strip in strips]
    return np.concatenate(padded)
