"""Equal runs of layers as blocks and repetitions: a document as a person would write it, every name kept.

Layers of one block have names with one beginning, `conv2_block1_1_conv`, ..., `conv2_block1_out`: that is how Keras'
own networks are named, and how a block of ours names what is in it. Runs that agree in structure become uses of one
block, what differs in numbers becomes its parameters. Entries that differ by a counted name become one with `repeat`.

What comes out is not relied upon: whoever calls this writes it out again and compares.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count, pairwise
from string import ascii_lowercase
from typing import Any, NamedTuple

from ...core.components import Json
from ...frontend.default_names import default_name, free_name
from ...layers import LAYERS
from .block_parameters import Parameters, parameters_of
from .entries import Flat, Step
from .fold_numbered import alike
from .layer_runs import LONGEST, SHORTEST, Run, run_of, users
from .spec_writer import document


@dataclass
class Folded:
    """A document being folded: entries, and the blocks they use."""

    flat: Flat
    blocks: dict[str, Json] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    """Results of blocks by what they are called outside."""


def folded(flat: Flat, training: Json = None, *, repeats: bool = True, own_names: bool = True) -> dict[str, Any]:
    """The document of a model, in blocks where its names allow that, and with equal entries as one."""
    made = Folded(flat)
    uses: dict[int, Use] = {}
    for runs in choose(flat):
        parameters = parameters_of([[step.spec for step in run.steps] for run in runs], runs[0].names)
        if parameters is not None:
            name = block_name(runs, made.blocks)
            made.blocks[name] = block(runs[0], runs[0].names, parameters, repeats=repeats)
            uses |= {run.start: Use(run, parameters.of(place), name, run.prefix) for place, run in enumerate(runs)}
    if own_names:
        add_own_named(flat, uses, made)
    steps = list(outer_steps(flat, uses, made))
    outputs = [made.renamed.get(name, name) for name in flat.outputs]
    written = document(replace(flat, steps=steps, outputs=outputs), training)
    if repeats:
        written["layers"] = repeated_entries(written["layers"])
    return {**({"name": written.pop("name")} if "name" in written else {}), **_blocks(made.blocks), **written}


class Use(NamedTuple):
    """A run in the place of which a use of a block stands: what it gives, the block, and what the use is called."""

    run: Run
    parameters: Parameters
    block: str
    name: str


def add_own_named(flat: Flat, uses: dict[int, Use], made: Folded) -> None:
    """Uses of blocks whose layers have names of their own, among the steps that are in no use."""
    taken = {place for use in uses.values() for place in range(use.run.start, use.run.end)} | in_a_row(flat.steps)
    names = {step.name.lower() for step in flat.steps} | {name.lower() for name in flat.inputs}
    names |= {use.name.lower() for use in uses.values()}
    for runs, named, parameters in alike(flat, taken):
        name = block_name(runs, made.blocks.keys() | names)
        made.blocks[name] = {"names": "own", **block(runs[0], named, parameters, repeats=False)}
        for place, run in enumerate(runs):
            called = free_name(name, names, {}, 0)
            names.add(called.lower())
            uses[run.start] = Use(run, parameters.of(place), name, called)


def in_a_row(steps: Sequence[Step]) -> set[int]:
    """The places of equal steps that take one another: one entry may stand for them."""
    pairs = enumerate(pairwise(steps))
    equal = {place for place, (one, other) in pairs if one.spec == other.spec and other.sources == (one.name,)}
    return equal | {place + 1 for place in equal}


def _blocks(blocks: Mapping[str, Json]) -> dict[str, Json]:
    return {"blocks": dict(blocks)} if blocks else {}


# -- which runs --------------------------------------------------------------------------------------------------------


def choose(flat: Flat) -> Iterator[list[Run]]:
    """Classes of equal runs that do not overlap, those first that save most."""
    by_form: dict[str, list[Run]] = {}
    for run in runs_of(flat):
        by_form.setdefault(run.form, []).append(run)
    taken: set[int] = set()
    waiting = [runs for runs in by_form.values() if len(runs) > 1]
    while waiting:
        free = [[run for run in runs if taken.isdisjoint(range(run.start, run.end))] for runs in waiting]
        best = max(free, key=lambda runs: (len(runs) - 1) * len(runs[0].steps) if runs else 0)
        if len(best) < 2:
            return
        yield best
        for run in best:
            taken |= set(range(run.start, run.end))
        waiting = [runs for runs in free if len(runs) > 1 and runs is not best]


def runs_of(flat: Flat) -> Iterator[Run]:
    """All runs that could be uses of a block."""
    used = users(flat)
    shared = {str(step.spec["use"]) for step in flat.steps if "use" in step.spec}
    taken = {step.name.lower() for step in flat.steps} | {name.lower() for name in flat.inputs}
    for prefix, start, end in prefixed(flat.steps):
        steps = flat.steps[start:end]
        whole = all("use" not in step.spec and step.name not in shared for step in steps)
        if whole and prefix.lower() not in taken:
            run = run_of(prefix, start, steps, used)
            if run is not None:
                yield run


def prefixed(steps: Sequence[Step]) -> Iterator[tuple[str, int, int]]:
    """Every beginning of names that stands in one row of steps: the beginning, the first step, and the one after the
    last."""
    rows: dict[str, list[int]] = {}
    for place, step in enumerate(steps):
        for found in re.finditer("_", step.name):
            rows.setdefault(step.name[: found.start()], []).append(place)
    for prefix, places in rows.items():
        if (
            SHORTEST <= len(places) <= LONGEST
            and places[-1] - places[0] + 1 == len(places)
            and re.match("[A-Za-z_]", prefix)
        ):
            yield prefix, places[0], places[-1] + 1


# -- blocks and their uses ---------------------------------------------------------------------------------------------


def block_name(runs: Sequence[Run], taken: Collection[str]) -> str:
    """A word for a class of runs: the last that their prefixes have in common, or that most of their names have."""
    words = WORD.findall(runs[0].prefix) if runs[0].prefix else common_words(runs[0])
    common = set.intersection(*(set(WORD.findall(run.prefix or " ".join(run.names))) for run in runs))
    last = [word for word in words if word in common]
    stem = last[-1].lower() if last and last[-1].lower() not in LAYERS.names else "block"
    more = (f"{stem}_{letter}" for letter in ascii_lowercase[1:])
    counted = (f"{stem}_{number}" for number in count(27))
    return next(name for name in chain([stem], more, counted) if name not in taken)


WORD = re.compile(r"[A-Za-z]{3,}")


def common_words(run: Run) -> list[str]:
    """The words in the names of a run that are not those of the layers' types, from the rarest to the most common."""
    found = Counter(
        word
        for name, step in zip(run.names, run.steps, strict=True)
        for word in dict.fromkeys(WORD.findall(name))
        if word not in default_name(str(step.spec["type"]))
    )
    return [word for word, _ in reversed(found.most_common())]


def block(run: Run, names: Sequence[str], parameters: Parameters, *, repeats: bool) -> dict[str, Json]:
    """The definition that a class of runs shares."""
    inner = [
        step._replace(name=name, spec=spec, sources=sources)
        for step, name, spec, sources in zip(run.steps, names, parameters.specs, run.sources_by(names), strict=True)
    ]
    ends = ["input", *(f"input_{number}" for number in range(2, len(run.outside) + 1))]
    written = document(
        Flat("model", {name: {} for name in ends}, inner, [names[run.output]]),
    )
    made: dict[str, Json] = {}
    if parameters.defaults:
        made["parameters"] = parameters.defaults
    if len(ends) > 1:
        made["inputs"] = ends
    made["layers"] = repeated_entries(written["layers"]) if repeats else written["layers"]
    return made | ({"outputs": written["outputs"]} if "outputs" in written else {})


def outer_steps(flat: Flat, uses: Mapping[int, Use], made: Folded) -> Iterator[Step]:
    """The steps of the document, blocks in place of runs, with what they take by its name outside."""
    place = 0
    while place < len(flat.steps):
        step = flat.steps[place]
        if place in uses:
            run, parameters, name, called = uses[place]
            made.renamed[run.steps[run.output].name] = called
            sources = tuple(made.renamed.get(source, source) for source in run.outside)
            yield step._replace(name=called, spec={"type": name, **parameters.given}, sources=sources)
            place = run.end
        else:
            yield step._replace(sources=tuple(made.renamed.get(source, source) for source in step.sources))
            place += 1


# -- repetitions -------------------------------------------------------------------------------------------------------


def repeated_entries(entries: Sequence[dict[str, Json]]) -> list[dict[str, Json]]:
    """Entries with one in place of several that differ by a counted name, or by their default names, alone."""
    found: list[dict[str, Json]] = []
    place = 0
    while place < len(entries):
        end = place + 1
        while end < len(entries) and follows(entries, place, end):
            end += 1
        found.append(repeat(entries[place], end - place) if end - place > 1 else entries[place])
        place = end
    return found


def follows(entries: Sequence[dict[str, Json]], first: int, place: int) -> bool:
    """Whether an entry is the first again, called on what stands before it and counted on."""
    one, other = entries[first], entries[place]
    if "use" in other or "from" in other or {**one, "name": 0, "from": 0} != {**other, "name": 0, "from": 0}:
        return False
    if isinstance(one.get("from"), list) or ("name" in one) != ("name" in other):
        return False
    return "name" not in one or counted(str(one["name"]), place - first) == other["name"]


def counted(name: str, by: int) -> str | None:
    """A name with its last number increased."""
    found = re.fullmatch(r"(.*?)(\d+)(\D*)", name)
    if found is None or (found[2] != "0" and found[2].startswith("0")):
        return None
    return f"{found[1]}{int(found[2]) + by}{found[3]}"


def repeat(entry: dict[str, Json], count: int) -> dict[str, Json]:
    """An entry that stands for several."""
    found = re.fullmatch(r"(.*?)(\d+)(\D*)", str(entry.get("name", "")))
    made = dict(entry)
    if found is not None:
        start = int(found[2])
        made["name"] = f"{found[1]}${{index{f' + {start}' if start else ''}}}{found[3]}"
    return {"type": made.pop("type"), **made, "repeat": count}
