"""Sums up what the comparisons with Keras measured, in lines at the end of the report; takes a share of some."""

from __future__ import annotations

from typing import Any

IN_SHARES = ("check_export.py", "check_import.py")
"""What goes over the whole table once more, there and back: each whole takes as long as all else."""


def pytest_addoption(parser: Any) -> None:
    parser.addoption("--every", type=int, default=1, help=f"of {', '.join(IN_SHARES)} every how many-th case")


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    every = config.getoption("every")
    some = {file: [item for item in items if item.path.name == file] for file in IN_SHARES}
    left = {item for cases in some.values() for place, item in enumerate(cases) if place % every}
    items[:] = [item for item in items if item not in left]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What tests recorded in words; then, of every file, how many cases and the one with the greatest error of each
    kind."""
    reports = [report for found in terminalreporter.stats.values() for report in found if hasattr(report, "when")]
    measured: dict[str, dict[str, dict[str, float]]] = {}
    for report in reports:
        if report.when == "call":
            file, _, case = report.nodeid.partition("::")
            for kind, error in report.user_properties:
                if isinstance(error, str):
                    terminalreporter.write_line(f"{kind}: {error}")
                    continue
                measured.setdefault(file, {}).setdefault(kind, {})[case.partition("[")[2].rstrip("]")] = error
    for file, kinds in measured.items():
        worst = [
            f"{kind} {errors[case]:.1e} in {len(errors)} (worst: {case})"
            for kind, errors in kinds.items()
            for case in [max(errors, key=errors.__getitem__)]
        ]
        terminalreporter.write_line(f"{file}: errors of {', '.join(worst)}")
