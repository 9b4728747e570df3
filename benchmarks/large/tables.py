"""The tables of the large networks, for the terminal and for docs/internals/large-networks.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from ..page import DOCS, between
from ..results import Results
from ..tables import Table, number
from .trainers import TITLES
from .worker import Result

LATEST = Path(__file__).parents[1] / "results" / "large.json"
"""The results shown in the documentation."""
PAGE = DOCS / "internals/large-networks.md"
PEAKS = ("first_step_peak_gb", "steps_peak_gb")
PEER = "torch"


def tables(results: Result) -> list[Table]:
    """The tables of memory, times and files. Cells are medians over the processes of a contestant."""
    memory = _table("Peak of a training, GB", results, lambda score: _most(score, PEAKS), ratios=True)
    memory.notes = [
        *(f"{name}: {result['skipped']}." for name, result in results.items() if "skipped" in result),
        *(
            f"{name}, {TITLES[contestant]}: {score['failed'].rstrip('.')}."
            for name, contestant, score in _failures(results)
        ),
        *(f"{name}: not the same work: {e}" for name, r in results.items() for e in r.get("disagreements", ())),
    ]
    return [
        memory,
        _table("Seconds until the first step is done", results, _median_of("first_step_seconds"), ratios=True),
        _table("Seconds per step", results, _median_of("step_seconds"), ratios=True),
        _table("Peak while a checkpoint is saved, GB", results, _median_of("checkpoint_peak_gb")),
        _table("Checkpoint on disk, GB", results, _median_of("checkpoint_file_gb")),
        _table("Model on disk, GB", results, _median_of("model_file_gb")),
    ]


def processor_tables(results: Result) -> list[Table]:
    """The tables of processor time, which other processes disturb less. It is not comparable between frameworks, since
    threads that wait may use it."""
    return [
        _table("Processor seconds until the first step is done", results, _median_of("first_step_cpu_seconds")),
        _table("Processor seconds per step", results, _median_of("step_cpu_seconds")),
    ]


def networks_table(results: Result) -> Table:
    rows = [[name, r["about"], f"{r['parameters'] / 1e6:.0f} million"] for name, r in results.items()]
    return Table("Networks", ["name", "network", "parameters"], rows)


def update_page(file: Path) -> None:
    PAGE.write_text(updated_text(PAGE.read_text("utf-8"), Results.read(file)), "utf-8")


def updated_text(text: str, results: Results) -> str:
    """The page with the tables of these results between its markers; without results, it has none."""
    measured = results.parts.get("large", {})
    content = "Not measured.\n"
    if measured:
        about = results.about
        versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
        content = (
            f"Measured on {about['date']} on {about['processor']} with {about['threads']} threads;\n{versions}.\n\n"
        )
        content += "\n\n".join(
            f"**{table.title}**\n\n{table.markdown()}" for table in (networks_table(measured), *tables(measured))
        )
    return between(text, "large", content)


def _table(title: str, results: Result, value: Callable[[Result], float | None], ratios: bool = False) -> Table:
    names = [name for name in TITLES if any(name in result["contestants"] for result in results.values())]
    ratio_names = [name for name in names if ratios and name != PEER and PEER in names]
    table = Table(title, ["network", *map(TITLES.__getitem__, names), *(f"{TITLES[n]} / PyTorch" for n in ratio_names)])
    for network, result in results.items():
        values = {name: value(score) for name, score in result["contestants"].items()}
        cells = [number(values.get(name)) for name in names]
        peer = values.get(PEER)
        ratio_cells = [
            f"{own / peer:.2f}" if peer and (own := values.get(name)) is not None else "-" for name in ratio_names
        ]
        if any(value is not None for value in values.values()):
            table.rows.append([network, *cells, *ratio_cells])
    return table


def _median_of(key: str) -> Callable[[Result], float | None]:
    def value(score: Result) -> float | None:
        values = [run[key] for run in score["runs"] if key in run]
        return median(values) if values else None

    return value


def _most(score: Result, keys: tuple[str, ...]) -> float | None:
    """The median over the processes of the greatest of some values."""
    values = [max(run[key] for key in keys) for run in score["runs"]]
    return median(values) if values else None


def _failures(results: Result) -> Iterator[tuple[str, str, Result]]:
    for name, result in results.items():
        for contestant, score in result["contestants"].items():
            if score["failed"]:
                yield name, contestant, score
