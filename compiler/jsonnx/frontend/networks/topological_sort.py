"""Topological sort of layer calls, and the report of a cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush

from ...core.diagnostics import JsonPath, Report
from ..network import Call
from ..schema.phrases import name_list


def sort_topologically(calls: Sequence[Call], paths: Mapping[str, JsonPath], report: Report) -> list[Call]:
    """The calls, each after the calls whose results it takes, otherwise in their order.

    If there is a cycle, it is reported, and the calls on it or after it are left out. `paths` has the path of the first
    definition of each name.
    """
    producers = {
        result: index for index, call in enumerate(calls) for result in call.results if paths[result] == call.path
    }
    dependencies = [{producers[source] for source in call.sources if source in producers} for call in calls]
    consumers: list[list[int]] = [[] for _ in calls]
    for index, sources in enumerate(dependencies):
        for source in sources:
            consumers[source].append(index)
    pending_counts = [len(sources) for sources in dependencies]
    ready = [index for index, count in enumerate(pending_counts) if not count]
    order: list[int] = []
    while ready:
        index = heappop(ready)
        order.append(index)
        for consumer in consumers[index]:
            pending_counts[consumer] -= 1
            if not pending_counts[consumer]:
                heappush(ready, consumer)
    if len(order) < len(calls):
        _report_cycle(
            calls, {index: dependencies[index] for index, count in enumerate(pending_counts) if count}, report
        )
    return [calls[index] for index in order]


MAX_NAMES_SHOWN = 8
"""Layers of a cycle that a message names."""


def _report_cycle(calls: Sequence[Call], dependencies: Mapping[int, set[int]], report: Report) -> None:
    """Reports one cycle among the calls that could not be sorted; `dependencies` has these calls only."""
    index = min(dependencies)
    visited: dict[int, int] = {}
    while index not in visited:
        visited[index] = len(visited)
        index = min(source for source in dependencies[index] if source in dependencies)
    cycle = list(visited)[visited[index] :][::-1]
    first = cycle.index(min(cycle))
    cycle = cycle[first:] + cycle[:first]
    names = [calls[i].name for i in cycle]
    shown = [*(names if len(names) <= MAX_NAMES_SHOWN else [*names[:MAX_NAMES_SHOWN], "..."]), names[0]]
    notes = [(calls[i].path, f"{calls[i].name!r} takes {name_list(calls[i].sources)}") for i in cycle[:MAX_NAMES_SHOWN]]
    message, help = f"the layers {' -> '.join(shown)} form a cycle", "let one of them take another input"
    if len(cycle) == 1:
        message, help, notes = f"the layer {names[0]!r} takes its own output", "let it take another input", []
    report.add("cycle", calls[cycle[0]].path, message, help=help, notes=notes)
