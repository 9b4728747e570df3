"""Runs of layers that are alike but for their numbers: whose names have no beginning in common, as Keras' own have
where nobody gave any, `conv2d_5`, `batch_normalization_5`, `activation_5`.

They become uses of a block whose layers have names of their own, made of parameters: `conv2d_${n}`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from json import dumps
from typing import NamedTuple

from .block_parameters import BlockParameters, find_parameters, with_name_numbers
from .entries import FlatModel, SpecEntry
from .layer_runs import MAX_BLOCK_LAYERS, MIN_BLOCK_LAYERS, Consumers, LayerRun, find_consumers, layer_run

MIN_LINES_SAVED = 20
"""Lines that a class of runs has to save: less is easier to read as it stands."""


class NumberedRuns(NamedTuple):
    """Equal runs, the names of their layers as one, and what they differ in."""

    runs: Sequence[LayerRun]
    names: Sequence[str]
    parameters: BlockParameters

    @property
    def lines_saved(self) -> int:
        """The lines that are not written."""
        return count_lines_saved(len(self.runs), len(self.names))


def find_numbered_runs(flat_model: FlatModel, used_indices: Collection[int]) -> Iterator[NumberedRuns]:
    """Equal runs among the steps that are not taken, those first that save most lines."""
    used_indices, used = set(used_indices), find_consumers(flat_model)
    classes = list(candidate_windows(flat_model.entries, used, used_indices))
    while classes:
        free = [(non_overlapping(starts, length, used_indices), length) for starts, length in classes]
        free = [
            (starts, length) for starts, length in free if count_lines_saved(len(starts), length) >= MIN_LINES_SAVED
        ]
        best: NumberedRuns | None = None
        for starts, length in sorted(free, key=lambda window: -count_lines_saved(len(window[0]), window[1])):
            if best is not None and count_lines_saved(len(starts), length) <= best.lines_saved:
                break
            found = with_parameters(largest_class(flat_model.entries, used, starts, length))
            if (
                found is not None
                and found.lines_saved >= MIN_LINES_SAVED
                and (best is None or found.lines_saved > best.lines_saved)
            ):
                best = found
        if best is None:
            return
        yield best
        for run in best.runs:
            used_indices |= set(range(run.start, run.end))
        classes = free


def with_parameters(runs: Sequence[LayerRun]) -> NumberedRuns | None:
    """Runs with what they differ in; None where that is too much."""
    found = name_patterns(runs) if len(runs) > 1 else None
    if found is None:
        return None
    names, numbers = found
    specs = [[step.spec for step in run.entries] for run in runs]
    parameters = with_name_numbers(find_parameters(specs, names_without_numbers(names)), numbers)
    return None if parameters is None else NumberedRuns(runs, names, parameters)


def names_without_numbers(names: Sequence[str]) -> list[str]:
    """Names without numbers, each once."""
    words = [re.sub(r"_?\$\{[^}]*\}|\d+", "", name) or "layer" for name in names]
    return [word if words.count(word) == 1 else f"{word}_{place}" for place, word in enumerate(words)]


def count_lines_saved(count: int, length: int) -> int:
    """The lines that so many runs save: each becomes one, and one is written in the block."""
    return count * (length - 1) - length


def candidate_windows(
    entries: Sequence[SpecEntry], consumers: Consumers, used_indices: Collection[int]
) -> Iterator[tuple[list[int], int]]:
    """The starts of windows of one length with the same types of layers, of whose results one alone is used outside."""
    last = [max((max(places) for places in consumers.get(step.name, {}).values()), default=-1) for step in entries]
    place = {step.name: at for at, step in enumerate(entries)}
    shared = {place[str(step.spec["use"])] for step in entries if "use" in step.spec}
    words = [hash(entry_content(step)) for step in entries]
    closed = {at for at, step in enumerate(entries) if "use" in step.spec or at in shared or at in used_indices}
    found: dict[tuple[int, int], list[int]] = {}
    for start in range(len(entries)):
        word, open_ = 0, set[int]()
        for end in range(start, min(start + MAX_BLOCK_LAYERS, len(entries))):
            if end in closed:
                break
            word = hash((word, words[end]))
            sources = {place.get(source.partition(".")[0], -1) for source in entries[end].sources}
            open_ = {at for at in open_ if at not in sources or last[at] != end} | {end}
            if len(open_) == 1 and end - start + 1 >= MIN_BLOCK_LAYERS:
                found.setdefault((word, end - start + 1), []).append(start)
    for (_, length), starts in found.items():
        if count_lines_saved(len(starts), length) >= MIN_LINES_SAVED:
            yield starts, length


def entry_content(entry: SpecEntry) -> tuple[str, str]:
    """What steps of equal runs agree in, beside where they take what."""
    return str(entry.spec["type"]) if "type" in entry.spec else "", dumps(
        {key: value for key, value in entry.spec.items() if isinstance(value, dict)}, sort_keys=True
    )


def non_overlapping(starts: Sequence[int], length: int, used_indices: Collection[int]) -> list[int]:
    """The starts of windows that do not overlap, nor touch what is taken."""
    found: list[int] = []
    for start in starts:
        if (not found or start >= found[-1] + length) and not any(
            at in used_indices for at in range(start, start + length)
        ):
            found.append(start)
    return found


def largest_class(
    entries: Sequence[SpecEntry], consumers: Consumers, starts: Sequence[int], length: int
) -> list[LayerRun]:
    """The most runs among some windows that are equal in all but numbers, and whose names are too."""
    by_form: dict[str, list[LayerRun]] = {}
    for start in starts:
        run = layer_run("", start, entries[start : start + length], consumers)
        if run is not None:
            form = [run.structure_key, [re.split(r"\d+", name) for name in run.names]]
            by_form.setdefault(dumps(form), []).append(run)
    return max(by_form.values(), key=len, default=[])


def name_patterns(runs: Sequence[LayerRun]) -> tuple[list[str], dict[str, list[int]]] | None:
    """The names of the layers of runs as one, and the parameters in them with the value of each run; None where a
    number begins with 0."""
    values: dict[str, list[int]] = {}
    made = []
    for names in zip(*(run.names for run in runs), strict=True):
        parts = re.split(r"(\d+)", names[0])
        numbers = [re.findall(r"\d+", name) for name in names]
        for place in range(len(numbers[0])):
            column = [found[place] for found in numbers]
            if len(set(column)) == 1:
                continue
            if any(text != str(int(text)) for text in column):
                return None
            parts[2 * place + 1] = number_expression(values, [int(text) for text in column])
        made.append("".join(parts))
    return made, values


def number_expression(values: dict[str, list[int]], column: list[int]) -> str:
    """The expression for a number in a name: a parameter that is there, so much more than one, or a new one."""
    for known, others in values.items():
        more = {number - other for number, other in zip(column, others, strict=True)}
        if len(more) == 1:
            by = more.pop()
            return f"${{{known} {'-' if by < 0 else '+'} {abs(by)}}}" if by else f"${{{known}}}"
    name = f"n_{len(values) + 1}" if values else "n"
    values[name] = column
    return f"${{{name}}}"
