"""Writes the tables and the plot of docs/internals/performance.md from a file of results."""

from __future__ import annotations

import re
from pathlib import Path

from .contest import medians, peak, ratio
from .contestants import INFERENCE, TRAINING
from .parts import PARTS
from .results import Results

ABOUT = (
    "rewrites the tables and the plot of docs/internals/performance.md from results/latest.json, "
    "or from the file given by -o"
)
DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "internals/performance.md"
PLOT = DOCS / "internals/performance.svg"


def update_page(file: Path) -> None:
    """Rewrites the page and the plot from this file."""
    results = Results.read(file)
    PAGE.write_text(updated_text(PAGE.read_text("utf-8"), results), "utf-8")
    plot(results, PLOT)


def updated_text(text: str, results: Results) -> str:
    """The page with the tables of every part between its markers."""
    text = between(text, "machine", machine(results))
    for name, results_by_workload in results.parts.items():
        text = between(text, name, "\n\n".join(table.markdown() for table in PARTS[name].page(results_by_workload)))
    return text


def between(text: str, name: str, content: str) -> str:
    """The page with the text between `<!-- name -->` and `<!-- end -->` replaced. Raises ValueError if there is no such
    place, or more than one."""
    page, count = re.subn(
        rf"(<!-- {name} -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}{content}\n{match[2]}",
        text,
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"the page has {count} places for the part {name!r}, not one")
    return page


def machine(results: Results) -> str:
    """The machine and the versions that the results were measured with."""
    about = results.about
    peaks = [peak(medians(result)) for result in results.parts.get("train", {}).values()]
    sorted_peaks = sorted(value for value in peaks if value)
    product_text = (
        f" (1024x1024 matrix product: {sorted_peaks[len(sorted_peaks) // 2]:.0f} GFLOP/s)" if sorted_peaks else ""
    )
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return (
        f"Measured on {about['date']} on {about['processor']} with {about['threads']} threads{product_text}; "
        f"{about['system']}, Python {about['python']}; {versions}."
    )


def plot(results: Results, path: Path) -> None:
    """A bar chart of each contestant's time relative to the fastest peer, by workload; below 1 is faster."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "jsonnx"
    from matplotlib import pyplot

    plots = [
        (part, entries) for part, entries in (("train", TRAINING), ("inference", INFERENCE)) if part in results.parts
    ]
    metric, axes = pyplot.subplots(len(plots), 1, figsize=(13, 4.2 * len(plots)), squeeze=False)
    for (part, entries), (axis,) in zip(plots, axes, strict=True):
        results_by_workload = results.parts[part]
        times = {workload: medians(workload_times) for workload, workload_times in results_by_workload.items()}
        names = [name for name in entries if any(name in workload_times for workload_times in times.values())]
        width = 0.8 / len(names)
        for index, name in enumerate(names):
            positions = [position + (index - len(names) / 2 + 0.5) * width for position in range(len(times))]
            heights = [ratio(workload_times, name) or 0 for workload_times in times.values()]
            axis.bar(positions, heights, width, label=entries[name].title)
        axis.axhline(1, color="black", linewidth=0.8)
        axis.set_ylim(0, 4)
        axis.set_xticks(range(len(times)), list(times), rotation=20, ha="right")
        axis.set_ylabel("time / best peer's time")
        axis.set_title("a training step" if part == "train" else "a prediction")
        axis.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    metric.tight_layout()
    metric.savefig(path, metadata={"Date": None})
    pyplot.close(metric)
