"""Makes the pictures and the figures of docs/gallery/: `make gallery`.

Trains each sample that has data, in a temporary folder and with the seed of its spec. Writes docs/gallery/images/ and
docs/gallery/figures.json, and the figures into the pages, between two comments.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from . import data as gallery_data
from .charts import bar_chart, number, training_chart

ROOT = Path(__file__).parents[3]
SAMPLES, GALLERY = ROOT / "samples", ROOT / "docs/gallery"
MARKED = re.compile(r"(?<=<!-- figures -->\n\n).*?(?=\n<!-- end of figures -->)", re.DOTALL)
"""The figures in a page."""

PARTS = {"train": "training", "validation": "validation", "test": "test"}
"""What the figures call the parts of the data."""

Json = dict[str, Any]


class Sample(NamedTuple):
    """How the gallery shows a sample."""

    metric: str | None = "accuracy"
    """The metric that is drawn beside the loss."""
    data: Callable[[], gallery_data.Picture] | None = None
    """The look at its data; without data, there is neither a training nor a look."""
    depth: int | None = None
    """The levels of blocks that are drawn."""


GALLERY_SAMPLES = {
    "bicycles": Sample("mae", gallery_data.bicycles),
    "crashes": Sample("auc", gallery_data.crashes),
    "diabetes": Sample("mae", gallery_data.diabetes),
    "digits_contrastive": Sample(None, gallery_data.digits),
    "digits_int8": Sample(data=gallery_data.digits),
    "digits_residual": Sample(data=gallery_data.digits),
    "digits_transfer": Sample(data=gallery_data.few_digits),
    "efficientnet_b0": Sample(depth=0),
    "flights": Sample("auc", gallery_data.flights),
    "mnist_cnn": Sample(data=gallery_data.mnist),
    "mnist_mlp": Sample(data=gallery_data.mnist),
    "mobilenet_v2": Sample(depth=0),
    "nuclei": Sample("iou", gallery_data.nuclei, depth=0),
    "penguins": Sample(data=gallery_data.penguins),
    "questions": Sample(data=gallery_data.questions),
    "resnet50": Sample(depth=0),
    "reviews": Sample(data=gallery_data.reviews),
    "reviews_tokens": Sample(data=gallery_data.reviews),
    "textures": Sample(data=gallery_data.textures),
    "transformer": Sample(depth=0),
    "unet": Sample(depth=0),
    "vowels_lstm": Sample(data=gallery_data.vowels),
}


def jsonnx(*arguments: str) -> str:
    """What a command prints."""
    return subprocess.run(
        [sys.executable, "-m", "jsonnx", *arguments], stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def spec_digest(name: str) -> str:
    """The digest by which a test knows that the figures are those of the present spec."""
    return hashlib.sha256((SAMPLES / f"{name}.json").read_bytes()).hexdigest()


def main() -> None:
    """Makes all samples, or those that are named."""
    names = sys.argv[1:] or list(GALLERY_SAMPLES)
    record_file = GALLERY / "figures.json"
    record: Json = json.loads(record_file.read_text("utf-8")) if record_file.exists() else {}
    with TemporaryDirectory() as folder:
        for name in names:
            record[name] = make(name, Path(folder))
    record_file.write_text(json.dumps(dict(sorted(record.items())), indent=2) + "\n", encoding="utf-8")
    for name in names:
        page = GALLERY / f"{name}.md"
        page.write_text(with_figures(page.read_text("utf-8"), record[name]), encoding="utf-8")


def make(name: str, folder: Path) -> Json:
    """Writes the pictures of a sample. Returns its figures."""
    sample, spec, images = GALLERY_SAMPLES[name], str(SAMPLES / f"{name}.json"), GALLERY / "images"
    images.mkdir(parents=True, exist_ok=True)
    depth = () if sample.depth is None else ("--depth", str(sample.depth))
    jsonnx("draw", spec, "-o", str(images / f"{name}_network.svg"), *depth)
    summary = json.loads(jsonnx("summary", spec, "--format", "json"))
    figures: Json = {"spec_sha256": spec_digest(name)}
    totals = summary["totals"]
    figures["parameters"] = totals["parameters"]
    figures["multiply_adds"] = totals["multiply_adds"] or totals["multiply_adds_formula"]
    if sample.data is None:
        (images / f"{name}_parameters.svg").write_text(parameter_chart(summary["layers"]), encoding="utf-8")
        return figures
    suffix, contents = sample.data()
    (images / f"{name}_data{suffix}").write_bytes(contents)
    run = folder / name
    jsonnx("train", spec, "-o", str(run), "--quiet")
    for kind, chart in charts(run, sample.metric):
        (images / f"{name}_{kind}.svg").write_text(chart, encoding="utf-8")
    return figures | trained_figures(run)


def parameter_chart(layers: list[Json]) -> str:
    """The parameters of each block and layer that has any, in the order of the network."""
    counts: dict[str, int] = {}
    for layer in layers:
        name = layer["blocks"][0] if layer["blocks"] else layer["name"]
        counts[name] = counts.get(name, 0) + layer["parameters"]
    bars = {name: count / 1e6 for name, count in counts.items() if count > 0.0001 * max(counts.values())}
    most = sorted(bars, key=lambda name: bars[name])[-1]
    return bar_chart("parameters, millions", "blocks from the input to the output", bars, [next(iter(bars)), most])


def charts(run: Path, metric: str | None) -> Iterator[tuple[str, str]]:
    """The charts of the loss and of the metric by epoch."""
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    results = json.loads((run / "run.json").read_text("utf-8"))["test"]
    for kind, name in {"loss": "loss", **({"metric": metric} if metric else {})}.items():
        keys = {"training": name, "validation": f"val_{name}"}
        lines = {part: [row[key] for row in epochs] for part, key in keys.items() if key in epochs[0]}
        yield kind, training_chart(name, lines, results.get(name))


def trained_figures(run: Path) -> Json:
    result, execution = (json.loads((run / name).read_text("utf-8")) for name in ("run.json", "execution.json"))
    return {
        "samples": {part: data["samples"] for part, data in result["data"].items()},
        "epochs": result["epochs"],
        "best_epoch": result["best"]["epoch"],
        "seconds": execution["seconds"],
        "threads": execution["threads"],
        "test": {name: value for name, value in result["test"].items() if isinstance(value, float)},
    }


def with_figures(page: str, figures: Json) -> str:
    """The page with the table of figures between its two comments."""
    return MARKED.sub(lambda _: figure_table(figures), page)


def figure_table(figures: Json) -> str:
    rows = [(f"{name} on the test data", number(value)) for name, value in figures.get("test", {}).items()]
    if "samples" in figures:
        rows.append(("samples", ", ".join(f"{count:,} {PARTS[part]}" for part, count in figures["samples"].items())))
    macs = figures["multiply_adds"]
    rows.append(("parameters", f"{figures['parameters']:,}"))
    rows.append(("multiply-adds of a sample", f"{macs:,}" if isinstance(macs, int) else f"`{macs}`"))
    if "seconds" in figures:
        cores = "1 core" if figures["threads"] == 1 else f"{figures['threads']} cores"
        rows.append(("training", f"{figures['epochs']} epochs in {figures['seconds']:.1f} s on {cores}"))
    lines = ["| figure | value |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
