"""Adds a summary of the measured errors to the report, and options that run a part of some files."""

from __future__ import annotations

from typing import Any

SAMPLED_FILES = {"--every": ("check_export.py", "check_import.py"), "--every-layer": ("check_layers.py",)}
"""The files of which an option selects a part of the cases."""


def pytest_addoption(parser: Any) -> None:
    for option, files in SAMPLED_FILES.items():
        parser.addoption(option, type=int, default=1, help=f"run only every n-th case of {', '.join(files)}")


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    every = {file: config.getoption(option) for option, files in SAMPLED_FILES.items() for file in files}
    items_by_file = {file: [item for item in items if item.path.name == file] for file in every}
    skipped = {item for file, cases in items_by_file.items() for index, item in enumerate(cases) if index % every[file]}
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
