"""Runs of layers that are alike but for their numbers: whose names have no beginning in common, as Keras' own have
where nobody gave any, `conv2d_5`, `batch_normalization_5`, `activation_5`.

They become uses of a block whose layers have names of their own, made of parameters: `conv2d_${n}`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from json import dumps
from typing import NamedTuple

from .block_parameters import Parameters, parameters_of, with_numbers
from .entries import Flat, Step
from .layer_runs import LONGEST, SHORTEST, Run, Users, run_of, users

LEAST = 20
"""Lines that a class of runs has to save: less is easier to read as it stands."""


class Alike(NamedTuple):
    """Equal runs, the names of their layers as one, and what they differ in."""

    runs: Sequence[Run]
    names: Sequence[str]
    parameters: Parameters

    @property
    def saves(self) -> int:
        """The lines that are not written."""
        return saved(len(self.runs), len(self.names))


def alike(flat: Flat, taken: Collection[int]) -> Iterator[Alike]:
    """Equal runs among the steps that are not taken, those first that save most lines."""
    taken, used = set(taken), users(flat)
    classes = list(windows(flat.steps, used, taken))
    while classes:
        free = [(apart(starts, length, taken), length) for starts, length in classes]
        free = [(starts, length) for starts, length in free if saved(len(starts), length) >= LEAST]
        best: Alike | None = None
        for starts, length in sorted(free, key=lambda window: -saved(len(window[0]), window[1])):
            if best is not None and saved(len(starts), length) <= best.saves:
                break
            found = described(largest(flat.steps, used, starts, length))
            if found is not None and found.saves >= LEAST and (best is None or found.saves > best.saves):
                best = found
        if best is None:
            return
        yield best
        for run in best.runs:
            taken |= set(range(run.start, run.end))
        classes = free


def described(runs: Sequence[Run]) -> Alike | None:
    """Runs with what they differ in; None where that is too much."""
    found = patterns(runs) if len(runs) > 1 else None
    if found is None:
        return None
    names, numbers = found
    specs = [[step.spec for step in run.steps] for run in runs]
    parameters = with_numbers(parameters_of(specs, words_of(names)), numbers)
    return None if parameters is None else Alike(runs, names, parameters)


def words_of(names: Sequence[str]) -> list[str]:
    """Names without numbers, each once."""
    words = [re.sub(r"_?\$\{[^}]*\}|\d+", "", name) or "layer" for name in names]
    return [word if words.count(word) == 1 else f"{word}_{place}" for place, word in enumerate(words)]


def saved(count: int, length: int) -> int:
    """The lines that so many runs save: each becomes one, and one is written in the block."""
    return count * (length - 1) - length


def windows(steps: Sequence[Step], used: Users, taken: Collection[int]) -> Iterator[tuple[list[int], int]]:
    """The starts of windows of one length with the same types of layers, of whose results one alone is used outside."""
    last = [max((max(places) for places in used.get(step.name, {}).values()), default=-1) for step in steps]
    place = {step.name: at for at, step in enumerate(steps)}
    shared = {place[str(step.spec["use"])] for step in steps if "use" in step.spec}
    words = [hash(content(step)) for step in steps]
    closed = {at for at, step in enumerate(steps) if "use" in step.spec or at in shared or at in taken}
    found: dict[tuple[int, int], list[int]] = {}
    for start in range(len(steps)):
        word, open_ = 0, set[int]()
        for end in range(start, min(start + LONGEST, len(steps))):
            if end in closed:
                break
            word = hash((word, words[end]))
            sources = {place.get(source.partition(".")[0], -1) for source in steps[end].sources}
            open_ = {at for at in open_ if at not in sources or last[at] != end} | {end}
            if len(open_) == 1 and end - start + 1 >= SHORTEST:
                found.setdefault((word, end - start + 1), []).append(start)
    for (_, length), starts in found.items():
        if saved(len(starts), length) >= LEAST:
            yield starts, length


def content(step: Step) -> tuple[str, str]:
    """What steps of equal runs agree in, beside where they take what."""
    return str(step.spec["type"]) if "type" in step.spec else "", dumps(
        {key: value for key, value in step.spec.items() if isinstance(value, dict)}, sort_keys=True
    )


def apart(starts: Sequence[int], length: int, taken: Collection[int]) -> list[int]:
    """The starts of windows that do not overlap, nor touch what is taken."""
    found: list[int] = []
    for start in starts:
        if (not found or start >= found[-1] + length) and not any(at in taken for at in range(start, start + length)):
            found.append(start)
    return found


def largest(steps: Sequence[Step], used: Users, starts: Sequence[int], length: int) -> list[Run]:
    """The most runs among some windows that are equal in all but numbers, and whose names are too."""
    by_form: dict[str, list[Run]] = {}
    for start in starts:
        run = run_of("", start, steps[start : start + length], used)
        if run is not None:
            form = [run.form, [re.split(r"\d+", name) for name in run.names]]
            by_form.setdefault(dumps(form), []).append(run)
    return max(by_form.values(), key=len, default=[])


def patterns(runs: Sequence[Run]) -> tuple[list[str], dict[str, list[int]]] | None:
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
            parts[2 * place + 1] = counted(values, [int(text) for text in column])
        made.append("".join(parts))
    return made, values


def counted(values: dict[str, list[int]], column: list[int]) -> str:
    """The expression for a number in a name: a parameter that is there, so much more than one, or a new one."""
    for known, others in values.items():
        more = {number - other for number, other in zip(column, others, strict=True)}
        if len(more) == 1:
            by = more.pop()
            return f"${{{known} {'-' if by < 0 else '+'} {abs(by)}}}" if by else f"${{{known}}}"
    name = f"n_{len(values) + 1}" if values else "n"
    values[name] = column
    return f"${{{name}}}"
