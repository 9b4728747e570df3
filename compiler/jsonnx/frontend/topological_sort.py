"""An order in which calls can run, and the cycles that leave none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush

from ..core.diagnostics import JsonPath, Report
from .network import Call
from .schema.phrases import name_list


def sort_topologically(calls: Sequence[Call], paths: Mapping[str, JsonPath], report: Report) -> list[Call]:
    """The calls, each after those it takes from, otherwise as written. Calls on a cycle, or after one, are left out and
    the cycle is reported. `paths` says where each name was first defined."""
    made_by = {
        result: index for index, call in enumerate(calls) for result in call.results if paths[result] == call.path
    }
    waits = [{made_by[source] for source in call.sources if source in made_by} for call in calls]
    followers: list[list[int]] = [[] for _ in calls]
    for index, wanted in enumerate(waits):
        for other in wanted:
            followers[other].append(index)
    open_ = [len(wanted) for wanted in waits]
    ready = [index for index, count in enumerate(open_) if not count]
    done: list[int] = []
    while ready:
        index = heappop(ready)
        done.append(index)
        for follower in followers[index]:
            open_[follower] -= 1
            if not open_[follower]:
                heappush(ready, follower)
    if len(done) < len(calls):
        _report_cycle(calls, {index: waits[index] for index, count in enumerate(open_) if count}, report)
    return [calls[index] for index in done]


MAX_NAMES_SHOWN = 8
"""Layers of a cycle that a message names."""


def _report_cycle(calls: Sequence[Call], dependencies: Mapping[int, set[int]], report: Report) -> None:
    index = min(dependencies)
    seen: dict[int, int] = {}
    while index not in seen:
        seen[index] = len(seen)
        index = min(other for other in dependencies[index] if other in dependencies)
    cycle = list(seen)[seen[index] :][::-1]
    first = cycle.index(min(cycle))
    cycle = cycle[first:] + cycle[:first]
    names = [calls[i].name for i in cycle]
    ring = [*(names if len(names) <= MAX_NAMES_SHOWN else [*names[:MAX_NAMES_SHOWN], "..."]), names[0]]
    notes = [(calls[i].path, f"{calls[i].name!r} takes {name_list(calls[i].sources)}") for i in cycle[:MAX_NAMES_SHOWN]]
    message, help = f"the layers {' -> '.join(ring)} take from one another in a circle", "let one take from elsewhere"
    if len(cycle) == 1:
        message, help, notes = f"the layer {names[0]!r} takes from itself", "let it take from elsewhere", []
    report.add("cycle", calls[cycle[0]].path, message, help=help, notes=notes)
