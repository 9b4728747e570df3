"""Finds repeated runs of layers whose names have no common prefix, but differ only in numbers.

Keras' default names are of this kind: `conv2d_5`, `batch_normalization_5`, `activation_5`. Such runs become uses of a
block whose layer names contain parameters: `conv2d_${n}`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from json import dumps
from typing import NamedTuple

from ..translation.entries import FlatModel, SpecEntry, producer_name
from .block_parameters import BlockParameters, find_parameters, with_name_numbers
from .layer_runs import MAX_BLOCK_LAYERS, MIN_BLOCK_LAYERS, Consumers, LayerRun, find_consumers, layer_run

MIN_LINES_SAVED = 20
"""Lines that a block must save; otherwise the flat spec is easier to read."""


class NumberedRuns(NamedTuple):
    """Runs of equal structure, the name patterns of their layers, and the parameters in which they differ."""

    runs: Sequence[LayerRun]
    names: Sequence[str]
    parameters: BlockParameters

    @property
    def lines_saved(self) -> int:
        """The lines that a block saves."""
        return count_lines_saved(len(self.runs), len(self.names))


def find_numbered_runs(flat_model: FlatModel, used_indices: Collection[int]) -> Iterator[NumberedRuns]:
    """Yields groups of equal runs outside the used entries, greedily by the number of lines saved."""
    used_indices, consumers = set(used_indices), find_consumers(flat_model)
    windows = list(candidate_windows(flat_model.entries, consumers, used_indices))
    while windows:
        windows = [(non_overlapping(starts, length, used_indices), length) for starts, length in windows]
        windows = [window for window in windows if max_lines_saved(window) >= MIN_LINES_SAVED]
        best: NumberedRuns | None = None
        for window in sorted(windows, key=max_lines_saved, reverse=True):
            if best is not None and max_lines_saved(window) <= best.lines_saved:
                break
            runs = with_parameters(largest_class(flat_model.entries, consumers, *window))
            threshold = MIN_LINES_SAVED if best is None else best.lines_saved + 1
            if runs is not None and runs.lines_saved >= threshold:
                best = runs
        if best is None:
            return
        yield best
        for run in best.runs:
            used_indices |= set(range(run.start, run.end))


def with_parameters(runs: Sequence[LayerRun]) -> NumberedRuns | None:
    """Runs with the parameters in which they differ; None if there are too many."""
    patterns = name_patterns(runs) if len(runs) > 1 else None
    if patterns is None:
        return None
    names, numbers = patterns
    specs = [[entry.spec for entry in run.entries] for run in runs]
    parameters = with_name_numbers(find_parameters(specs, names_without_numbers(names)), numbers)
    return None if parameters is None else NumberedRuns(runs, names, parameters)


def names_without_numbers(names: Sequence[str]) -> list[str]:
    """Removes numbers from names, and makes the results unique."""
    words = [re.sub(r"_?\$\{[^}]*\}|\d+", "", name) or "layer" for name in names]
    return [word if words.count(word) == 1 else f"{word}_{index}" for index, word in enumerate(words)]


def count_lines_saved(count: int, length: int) -> int:
    """The lines that a block saves: each run becomes one line, and one run is written in the block."""
    return count * (length - 1) - length


Windows = tuple[list[int], int]
"""Windows of equal content: their starts and their length."""


def max_lines_saved(windows: Windows) -> int:
    starts, length = windows
    return count_lines_saved(len(starts), length)


def candidate_windows(
    entries: Sequence[SpecEntry], consumers: Consumers, used_indices: Collection[int]
) -> Iterator[Windows]:
    """Yields windows with equal layer types that each have only one result that is used outside."""
    last_use = [max((max(uses) for uses in consumers.get(entry.name, {}).values()), default=-1) for entry in entries]
    index_of = {entry.name: index for index, entry in enumerate(entries)}
    shared = {index_of[str(entry.spec["use"])] for entry in entries if "use" in entry.spec}
    hashes = [hash(entry_content(entry)) for entry in entries]
    excluded = {index for index, entry in enumerate(entries) if "use" in entry.spec or index in shared}
    excluded |= set(used_indices)
    starts_by_content: dict[tuple[int, int], list[int]] = {}
    for start in range(len(entries)):
        window_hash, live = 0, set[int]()
        for end in range(start, min(start + MAX_BLOCK_LAYERS, len(entries))):
            if end in excluded:
                break
            window_hash = hash((window_hash, hashes[end]))
            sources = {index_of.get(producer_name(source), -1) for source in entries[end].sources}
            live = {index for index in live if index not in sources or last_use[index] != end} | {end}
            if len(live) == 1 and end - start + 1 >= MIN_BLOCK_LAYERS:
                starts_by_content.setdefault((window_hash, end - start + 1), []).append(start)
    for (_, length), starts in starts_by_content.items():
        if count_lines_saved(len(starts), length) >= MIN_LINES_SAVED:
            yield starts, length


def entry_content(entry: SpecEntry) -> tuple[str, str]:
    """The parts of an entry that are equal in runs of equal structure, without sources."""
    objects = {key: value for key, value in entry.spec.items() if isinstance(value, dict)}
    return str(entry.spec.get("type", "")), dumps(objects, sort_keys=True)


def non_overlapping(starts: Sequence[int], length: int, used_indices: Collection[int]) -> list[int]:
    """The starts of windows that overlap neither each other nor used entries."""
    chosen: list[int] = []
    for start in starts:
        is_free = not any(index in used_indices for index in range(start, start + length))
        if is_free and (not chosen or start >= chosen[-1] + length):
            chosen.append(start)
    return chosen


def largest_class(
    entries: Sequence[SpecEntry], consumers: Consumers, starts: Sequence[int], length: int
) -> list[LayerRun]:
    """The largest set of windows with equal structure and with names that differ only in numbers."""
    by_key: dict[str, list[LayerRun]] = {}
    for start in starts:
        run = layer_run("", start, entries[start : start + length], consumers)
        if run is not None:
            key = [run.structure_key, [re.split(r"\d+", name) for name in run.names]]
            by_key.setdefault(dumps(key), []).append(run)
    return max(by_key.values(), key=len, default=[])


def name_patterns(runs: Sequence[LayerRun]) -> tuple[list[str], dict[str, list[int]]] | None:
    """The common name pattern of each layer, and the value of each parameter in every run.

    None if a varying number has leading zeros.
    """
    values: dict[str, list[int]] = {}
    patterns = []
    for names in zip(*(run.names for run in runs), strict=True):
        parts = re.split(r"(\d+)", names[0])
        columns = zip(*(re.findall(r"\d+", name) for name in names), strict=True)
        for index, column in enumerate(columns):
            if len(set(column)) == 1:
                continue
            if any(text != str(int(text)) for text in column):
                return None
            parts[2 * index + 1] = number_expression(values, [int(text) for text in column])
        patterns.append("".join(parts))
    return patterns, values


def number_expression(values: dict[str, list[int]], column: list[int]) -> str:
    """The expression for a number in a name: an existing parameter, plus an offset, or a new parameter."""
    for parameter, others in values.items():
        offsets = {number - other for number, other in zip(column, others, strict=True)}
        if len(offsets) == 1:
            offset = offsets.pop()
            return f"${{{parameter} {'-' if offset < 0 else '+'} {abs(offset)}}}" if offset else f"${{{parameter}}}"
    parameter = f"n_{len(values) + 1}" if values else "n"
    values[parameter] = column
    return f"${{{parameter}}}"
