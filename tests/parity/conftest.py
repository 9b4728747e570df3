"""Adds a summary of the measured errors to the report, and the option --every, which runs a part of some files."""

from __future__ import annotations

from typing import Any

SAMPLED_FILES = ("check_export.py", "check_import.py")
"""Files that repeat all networks and of which --every selects a part."""


def pytest_addoption(parser: Any) -> None:
    parser.addoption("--every", type=int, default=1, help=f"run only every n-th case of {', '.join(SAMPLED_FILES)}")


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    every = config.getoption("every")
    items_by_file = {file: [item for item in items if item.path.name == file] for file in SAMPLED_FILES}
    skipped = {item for cases in items_by_file.values() for index, item in enumerate(cases) if index % every}
    items[:] = [item for item in items if item not in skipped]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints recorded texts, then for every file and kind of error the number of cases and the worst case."""
    reports = [report for group in terminalreporter.stats.values() for report in group if hasattr(report, "when")]
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
