"""Writes the tables and the plot of docs/performance.md from a file of results."""

from __future__ import annotations

import re
from pathlib import Path

from .contest import medians, peak, ratio
from .contestants import INFERENCE, TRAINING
from .parts import PARTS
from .results import Results

ABOUT = "rewrites the tables and the plot of docs/performance.md from results/latest.json, or from the file given by -o"
DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "performance.md"
PLOT = DOCS / "performance.svg"


def renew(file: Path) -> None:
    """Rewrites the page and the plot from this file."""
    results = Results.read(file)
    PAGE.write_text(renewed(PAGE.read_text("utf-8"), results), "utf-8")
    plot(results, PLOT)


def renewed(text: str, results: Results) -> str:
    """The page with the tables of every part between its markers."""
    text = between(text, "machine", machine(results))
    for name, found in results.parts.items():
        text = between(text, name, "\n\n".join(table.markdown() for table in PARTS[name].page(found)))
    return text


def between(text: str, name: str, content: str) -> str:
    """The page with the text between `<!-- name -->` and `<!-- end -->` replaced. Raises ValueError if there is no such
    place, or more than one."""
    made, count = re.subn(
        rf"(<!-- {name} -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}{content}\n{match[2]}",
        text,
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"the page has {count} places for the part {name!r}, not one")
    return made


def machine(results: Results) -> str:
    """The machine and the versions that the results were measured with."""
    about = results.about
    peaks = [peak(medians(found)) for found in results.parts.get("train", {}).values()]
    known = sorted(value for value in peaks if value)
    product = f" (1024x1024 matrix product: {known[len(known) // 2]:.0f} GFLOP/s)" if known else ""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return (
        f"Measured on {about['date']} on {about['processor']} with {about['threads']} threads{product}; "
        f"{about['system']}, Python {about['python']}; {versions}."
    )


def plot(results: Results, path: Path) -> None:
    """A bar chart of each contestant's time relative to the fastest peer, by workload; below 1 is faster."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "jsonnx"
    from matplotlib import pyplot

    drawn = [
        (part, entries) for part, entries in (("train", TRAINING), ("inference", INFERENCE)) if part in results.parts
    ]
    figure, axes = pyplot.subplots(len(drawn), 1, figsize=(13, 4.2 * len(drawn)), squeeze=False)
    for (part, entries), (axis,) in zip(drawn, axes, strict=True):
        found = results.parts[part]
        times = {workload: medians(one) for workload, one in found.items()}
        names = [name for name in entries if any(name in one for one in times.values())]
        width = 0.8 / len(names)
        for index, name in enumerate(names):
            places = [place + (index - len(names) / 2 + 0.5) * width for place in range(len(times))]
            heights = [ratio(one, name) or 0 for one in times.values()]
            axis.bar(places, heights, width, label=entries[name].title)
        axis.axhline(1, color="black", linewidth=0.8)
        axis.set_ylim(0, 4)
        axis.set_xticks(range(len(times)), list(times), rotation=20, ha="right")
        axis.set_ylabel("time / best peer's time")
        axis.set_title("a training step" if part == "train" else "a prediction")
        axis.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
