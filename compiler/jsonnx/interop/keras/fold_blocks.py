"""Equal runs of layers as blocks and repetitions: a document as a person would write it, every name kept.

Layers of one block have names with one beginning, `conv2_block1_1_conv`, ..., `conv2_block1_out`: that is how Keras'
own networks are named, and how a block of ours names what is in it. Runs that agree in structure become uses of one
block, what differs in numbers becomes its parameters. Entries that differ by a counted name become one with `repeat_entry`.

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
from .block_parameters import BlockParameters, find_parameters
from .entries import FlatModel, SpecEntry
from .fold_numbered import find_numbered_runs
from .layer_runs import MAX_BLOCK_LAYERS, MIN_BLOCK_LAYERS, LayerRun, find_consumers, layer_run
from .spec_writer import spec_document


@dataclass
class FoldedDocument:
    """A document being folded: entries, and the blocks they use."""

    flat_model: FlatModel
    blocks: dict[str, Json] = field(default_factory=dict)
    result_names: dict[str, str] = field(default_factory=dict)
    """Results of blocks by what they are called outside."""


def fold_blocks(
    flat_model: FlatModel, training: Json = None, *, repeats: bool = True, own_names: bool = True
) -> dict[str, Any]:
    """The document of a model, in blocks where its names allow that, and with equal entries as one."""
    made = FoldedDocument(flat_model)
    uses: dict[int, BlockUse] = {}
    for runs in choose_runs(flat_model):
        parameters = find_parameters([[step.spec for step in run.entries] for run in runs], runs[0].names)
        if parameters is not None:
            name = block_name(runs, made.blocks)
            made.blocks[name] = block_definition(runs[0], runs[0].names, parameters, repeats=repeats)
            uses |= {
                run.start: BlockUse(run, parameters.for_run(place), name, run.prefix) for place, run in enumerate(runs)
            }
    if own_names:
        add_numbered_blocks(flat_model, uses, made)
    steps = list(outer_entries(flat_model, uses, made))
    outputs = [made.result_names.get(name, name) for name in flat_model.outputs]
    written = spec_document(replace(flat_model, entries=steps, outputs=outputs), training)
    if repeats:
        written["layers"] = merge_repeated_entries(written["layers"])
    return {**({"name": written.pop("name")} if "name" in written else {}), **_blocks_section(made.blocks), **written}


class BlockUse(NamedTuple):
    """A run in the place of which a use of a block stands: what it gives, the block, and what the use is called."""

    run: LayerRun
    parameters: BlockParameters
    block: str
    name: str


def add_numbered_blocks(flat_model: FlatModel, uses: dict[int, BlockUse], document: FoldedDocument) -> None:
    """Uses of blocks whose layers have names of their own, among the steps that are in no use."""
    taken = {place for use in uses.values() for place in range(use.run.start, use.run.end)} | repeatable_indices(
        flat_model.entries
    )
    names = {step.name.lower() for step in flat_model.entries} | {name.lower() for name in flat_model.inputs}
    names |= {use.name.lower() for use in uses.values()}
    for runs, named, parameters in find_numbered_runs(flat_model, taken):
        name = block_name(runs, document.blocks.keys() | names)
        document.blocks[name] = {"names": "own", **block_definition(runs[0], named, parameters, repeats=False)}
        for place, run in enumerate(runs):
            called = free_name(name, names, {}, 0)
            names.add(called.lower())
            uses[run.start] = BlockUse(run, parameters.for_run(place), name, called)


def repeatable_indices(entries: Sequence[SpecEntry]) -> set[int]:
    """The places of equal steps that take one another: one entry may stand for them."""
    pairs = enumerate(pairwise(entries))
    equal = {place for place, (one, other) in pairs if one.spec == other.spec and other.sources == (one.name,)}
    return equal | {place + 1 for place in equal}


def _blocks_section(blocks: Mapping[str, Json]) -> dict[str, Json]:
    return {"blocks": dict(blocks)} if blocks else {}


# -- which runs --------------------------------------------------------------------------------------------------------


def choose_runs(flat_model: FlatModel) -> Iterator[list[LayerRun]]:
    """Classes of equal runs that do not overlap, those first that save most."""
    by_form: dict[str, list[LayerRun]] = {}
    for run in candidate_runs(flat_model):
        by_form.setdefault(run.structure_key, []).append(run)
    taken: set[int] = set()
    waiting = [runs for runs in by_form.values() if len(runs) > 1]
    while waiting:
        free = [[run for run in runs if taken.isdisjoint(range(run.start, run.end))] for runs in waiting]
        best = max(free, key=lambda runs: (len(runs) - 1) * len(runs[0].entries) if runs else 0)
        if len(best) < 2:
            return
        yield best
        for run in best:
            taken |= set(range(run.start, run.end))
        waiting = [runs for runs in free if len(runs) > 1 and runs is not best]


def candidate_runs(flat_model: FlatModel) -> Iterator[LayerRun]:
    """All runs that could be uses of a block."""
    used = find_consumers(flat_model)
    shared = {str(step.spec["use"]) for step in flat_model.entries if "use" in step.spec}
    taken = {step.name.lower() for step in flat_model.entries} | {name.lower() for name in flat_model.inputs}
    for prefix, start, end in shared_prefixes(flat_model.entries):
        steps = flat_model.entries[start:end]
        whole = all("use" not in step.spec and step.name not in shared for step in steps)
        if whole and prefix.lower() not in taken:
            run = layer_run(prefix, start, steps, used)
            if run is not None:
                yield run


def shared_prefixes(entries: Sequence[SpecEntry]) -> Iterator[tuple[str, int, int]]:
    """Every beginning of names that stands in one row of steps: the beginning, the first step, and the one after the
    last."""
    rows: dict[str, list[int]] = {}
    for place, step in enumerate(entries):
        for found in re.finditer("_", step.name):
            rows.setdefault(step.name[: found.start()], []).append(place)
    for prefix, places in rows.items():
        if (
            MIN_BLOCK_LAYERS <= len(places) <= MAX_BLOCK_LAYERS
            and places[-1] - places[0] + 1 == len(places)
            and re.match("[A-Za-z_]", prefix)
        ):
            yield prefix, places[0], places[-1] + 1


# -- blocks and their uses ---------------------------------------------------------------------------------------------


def block_name(runs: Sequence[LayerRun], used_names: Collection[str]) -> str:
    """A word for a class of runs: the last that their prefixes have in common, or that most of their names have."""
    words = WORD_PATTERN.findall(runs[0].prefix) if runs[0].prefix else common_words(runs[0])
    common = set.intersection(*(set(WORD_PATTERN.findall(run.prefix or " ".join(run.names))) for run in runs))
    last = [word for word in words if word in common]
    stem = last[-1].lower() if last and last[-1].lower() not in LAYERS.by_name else "block"
    more = (f"{stem}_{letter}" for letter in ascii_lowercase[1:])
    counted = (f"{stem}_{number}" for number in count(27))
    return next(name for name in chain([stem], more, counted) if name not in used_names)


WORD_PATTERN = re.compile(r"[A-Za-z]{3,}")


def common_words(run: LayerRun) -> list[str]:
    """The words in the names of a run that are not those of the layers' types, from the rarest to the most common."""
    found = Counter(
        word
        for name, step in zip(run.names, run.entries, strict=True)
        for word in dict.fromkeys(WORD_PATTERN.findall(name))
        if word not in default_name(str(step.spec["type"]))
    )
    return [word for word, _ in reversed(found.most_common())]


def block_definition(
    run: LayerRun, names: Sequence[str], parameters: BlockParameters, *, repeats: bool
) -> dict[str, Json]:
    """The definition that a class of runs shares."""
    inner = [
        step._replace(name=name, spec=spec, sources=sources)
        for step, name, spec, sources in zip(
            run.entries, names, parameters.specs, run.sources_with_names(names), strict=True
        )
    ]
    ends = ["input", *(f"input_{number}" for number in range(2, len(run.outer_sources) + 1))]
    written = spec_document(
        FlatModel("model", {name: {} for name in ends}, inner, [names[run.output_index]]),
    )
    made: dict[str, Json] = {}
    if parameters.defaults:
        made["parameters"] = parameters.defaults
    if len(ends) > 1:
        made["inputs"] = ends
    made["layers"] = merge_repeated_entries(written["layers"]) if repeats else written["layers"]
    return made | ({"outputs": written["outputs"]} if "outputs" in written else {})


def outer_entries(flat_model: FlatModel, uses: Mapping[int, BlockUse], document: FoldedDocument) -> Iterator[SpecEntry]:
    """The steps of the document, blocks in place of runs, with what they take by its name outside."""
    place = 0
    while place < len(flat_model.entries):
        step = flat_model.entries[place]
        if place in uses:
            run, parameters, name, called = uses[place]
            document.result_names[run.entries[run.output_index].name] = called
            sources = tuple(document.result_names.get(source, source) for source in run.outer_sources)
            yield step._replace(name=called, spec={"type": name, **parameters.arguments}, sources=sources)
            place = run.end
        else:
            yield step._replace(sources=tuple(document.result_names.get(source, source) for source in step.sources))
            place += 1


# -- repetitions -------------------------------------------------------------------------------------------------------


def merge_repeated_entries(entries: Sequence[dict[str, Json]]) -> list[dict[str, Json]]:
    """Entries with one in place of several that differ by a counted name, or by their default names, alone."""
    found: list[dict[str, Json]] = []
    place = 0
    while place < len(entries):
        end = place + 1
        while end < len(entries) and continues_repetition(entries, place, end):
            end += 1
        found.append(repeat_entry(entries[place], end - place) if end - place > 1 else entries[place])
        place = end
    return found


def continues_repetition(entries: Sequence[dict[str, Json]], first: int, place: int) -> bool:
    """Whether an entry is the first again, called on what stands before it and counted on."""
    one, other = entries[first], entries[place]
    if "use" in other or "from" in other or {**one, "name": 0, "from": 0} != {**other, "name": 0, "from": 0}:
        return False
    if isinstance(one.get("from"), list) or ("name" in one) != ("name" in other):
        return False
    return "name" not in one or increment_name(str(one["name"]), place - first) == other["name"]


def increment_name(name: str, increment: int) -> str | None:
    """A name with its last number increased."""
    found = re.fullmatch(r"(.*?)(\d+)(\D*)", name)
    if found is None or (found[2] != "0" and found[2].startswith("0")):
        return None
    return f"{found[1]}{int(found[2]) + increment}{found[3]}"


def repeat_entry(entry: dict[str, Json], count: int) -> dict[str, Json]:
    """An entry that stands for several."""
    found = re.fullmatch(r"(.*?)(\d+)(\D*)", str(entry.get("name", "")))
    made = dict(entry)
    if found is not None:
        start = int(found[2])
        made["name"] = f"{found[1]}${{index{f' + {start}' if start else ''}}}{found[3]}"
    return {"type": made.pop("type"), **made, "repeat": count}
