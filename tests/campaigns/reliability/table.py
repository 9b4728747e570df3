"""The table of what was tried, from the ledgers of the checks: `python -m campaigns.reliability.table` renews it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TESTS = HERE.parents[1]
FILE = HERE / "ledger.json"
PAGE = TESTS.parent / "docs/internals/reliability.md"
_TABLE = re.compile(r"(?<=<!-- begin table -->\n).*?(?=<!-- end table -->)", re.DOTALL)


def renewed_page() -> str:
    """The page with a table of the present ledgers."""
    return _TABLE.sub(lambda _: table(), PAGE.read_text())


def table() -> str:
    rows = ["| what is tried | how many | result | command, in `tests` |", "| --- | --- | --- | --- |"]
    return "\n".join([*rows, *(f"| {' | '.join(row)} |" for row in _rows())]) + "\n"


def _rows() -> list[tuple[str, str, str, str]]:
    documents, models = _read("random_documents"), _read("random_models")
    trials = _read("fault_injection")["outcomes"]
    counted = json.loads(FILE.read_text())
    document_count = sum(run["documents"] for run in documents["runs"])
    sound = sum(run["sound"] for run in documents["runs"])
    kinds = "; ".join(f"{sum(outcomes.values()):,} {kind}" for kind, outcomes in sorted(trials.items()))
    broken = sum(outcomes.get("broken", 0) for outcomes in trials.values())
    return [
        (
            "Random specs through `fmt`, `validate`, `summary`, `compile`, the plan of a training",
            f"{document_count:,}, of which {sound:,} without errors",
            _open(len(documents["open"]), "internal errors"),
            "`python -m campaigns.random_documents.run`",
        ),
        (
            "Random models: gradients, steps, bytes and results by several oracles",
            f"{sum(run['count'] for run in models['runs']):,}",
            f"{_open(len(models['open']), 'open failures')}; {len(models['fixed'])} bugs found and fixed",
            "`python -m campaigns.random_models.run`",
        ),
        (
            "Killed, stopped and disturbed training runs, resumed and compared byte for byte",
            f"{sum(sum(outcomes.values()) for outcomes in trials.values()):,}: {kinds}",
            _open(broken, "broken promises"),
            "`python -m campaigns.fault_injection.run --kills 20 --errors 100 --saves 1`, `.power_loss`, `.sweeps`",
        ),
        _counted(
            counted,
            "gradients",
            "Gradients against central differences in float64",
            "checks",
            "gradient_checks",
        ),
        _counted(counted, "damaged files", "Damaged Keras files", "files", "damaged_files.run"),
        _counted(
            counted,
            "damaged folders",
            "Mutated folders of Hugging Face models",
            "folders",
            "damaged_files.folders",
        ),
        _counted(
            counted,
            "leaks",
            "Repeated work: memory, threads and descriptors",
            "repetitions",
            "leak_checks.run",
        ),
        _counted(
            counted,
            "server",
            "A server under right, malformed, aborted and slow requests, and reloads",
            "requests",
            "server_load.run",
        ),
    ]


def _counted(counted: dict[str, Any], name: str, text: str, unit: str, command: str) -> tuple[str, str, str, str]:
    record = counted.get(name, {})
    failed = _open(record.get("failed", 0), "failed runs")
    return text, f"{record.get(unit, 0):,} {unit}", failed, f"`python -m campaigns.{command}`"


def _open(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}"


def _read(package: str) -> dict[str, Any]:
    ledger: dict[str, Any] = json.loads((TESTS / "campaigns" / package / "ledger.json").read_text())
    return ledger


if __name__ == "__main__":
    PAGE.write_text(renewed_page())
