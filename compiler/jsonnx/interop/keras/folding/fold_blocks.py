"""Folds a flat model into blocks and repetitions; every layer keeps its name.

Layers of a block have names with a common prefix, as in Keras' applications: `conv2_block1_1_conv`, ...,
`conv2_block1_out`. Runs of equal structure become uses of one block; arguments that differ become its parameters.
Consecutive entries whose names differ only by a counter become one entry with `repeat`.

The result is not assumed to be correct: the caller expands it and compares.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count, pairwise
from string import ascii_lowercase
from typing import Any, NamedTuple

from ....core.components import Json
from ....frontend.default_names import default_name, free_name
from ....layers import LAYERS
from ..translation.entries import FlatModel, SpecEntry
from .block_parameters import BlockParameters, find_parameters
from .fold_numbered import find_numbered_runs
from .layer_runs import MAX_BLOCK_LAYERS, MIN_BLOCK_LAYERS, LayerRun, find_consumers, layer_run
from .spec_writer import spec_document

WORD_PATTERN = re.compile(r"[A-Za-z]{3,}")
LAST_NUMBER_PATTERN = re.compile(r"(.*?)(\d+)(\D*)")


@dataclass
class FoldedDocument:
    """The state of folding a model."""

    flat_model: FlatModel
    blocks: dict[str, Json] = field(default_factory=dict)
    """Block definitions by name."""
    result_names: dict[str, str] = field(default_factory=dict)
    """Maps results inside blocks to the names of the uses."""


def fold_blocks(
    flat_model: FlatModel, training: Json = None, *, repeats: bool = True, own_names: bool = True
) -> dict[str, Any]:
    """The spec of a model, folded into blocks.

    `repeats` merges equal consecutive entries, `own_names` allows blocks of layers without a common prefix.
    """
    document = FoldedDocument(flat_model)
    uses: dict[int, BlockUse] = {}
    for runs in choose_runs(flat_model):
        parameters = find_parameters([[entry.spec for entry in run.entries] for run in runs], runs[0].names)
        if parameters is not None:
            name = block_name(runs, document.blocks)
            document.blocks[name] = block_definition(runs[0], runs[0].names, parameters, repeats=repeats)
            for index, run in enumerate(runs):
                uses[run.start] = BlockUse(run, parameters.for_run(index), name, run.prefix)
    if own_names:
        add_numbered_blocks(flat_model, uses, document)
    entries = list(outer_entries(flat_model, uses, document))
    outputs = [document.result_names.get(name, name) for name in flat_model.outputs]
    spec = spec_document(replace(flat_model, entries=entries, outputs=outputs), training)
    if repeats:
        spec["layers"] = merge_repeated_entries(spec["layers"])
    name_section = {"name": spec.pop("name")} if "name" in spec else {}
    return {**name_section, **({"blocks": document.blocks} if document.blocks else {}), **spec}


class BlockUse(NamedTuple):
    """The use of a block that replaces a run: its arguments, the block, and the name of the use."""

    run: LayerRun
    parameters: BlockParameters
    block: str
    name: str


def add_numbered_blocks(flat_model: FlatModel, uses: dict[int, BlockUse], document: FoldedDocument) -> None:
    """Adds uses of blocks whose layers have numbered names, among the remaining entries."""
    used_indices = {index for use in uses.values() for index in range(use.run.start, use.run.end)}
    used_indices |= repeatable_indices(flat_model.entries)
    used_names = {name.lower() for name in (*(entry.name for entry in flat_model.entries), *flat_model.inputs)}
    used_names |= {use.name.lower() for use in uses.values()}
    for runs, layer_names, parameters in find_numbered_runs(flat_model, used_indices):
        name = block_name(runs, document.blocks.keys() | used_names)
        document.blocks[name] = {"names": "own", **block_definition(runs[0], layer_names, parameters, repeats=False)}
        for index, run in enumerate(runs):
            use_name = free_name(name, used_names, {}, 0)
            used_names.add(use_name.lower())
            uses[run.start] = BlockUse(run, parameters.for_run(index), name, use_name)


def repeatable_indices(entries: Sequence[SpecEntry]) -> set[int]:
    """The indices of consecutive equal entries, which one entry with `repeat` may replace."""
    pairs = enumerate(pairwise(entries))
    first = {index for index, (a, b) in pairs if a.spec == b.spec and b.sources == (a.name,)}
    return first | {index + 1 for index in first}


# -- choice of runs ----------------------------------------------------------------------------------------------------


def choose_runs(flat_model: FlatModel) -> Iterator[list[LayerRun]]:
    """Yields groups of equal runs that do not overlap, greedily by the number of entries saved."""
    by_structure: dict[str, list[LayerRun]] = {}
    for run in candidate_runs(flat_model):
        by_structure.setdefault(run.structure_key, []).append(run)
    used_indices: set[int] = set()
    groups = [runs for runs in by_structure.values() if len(runs) > 1]
    while groups:
        free = [[run for run in runs if used_indices.isdisjoint(range(run.start, run.end))] for runs in groups]
        best = max(free, key=lambda runs: (len(runs) - 1) * len(runs[0].entries) if runs else 0)
        if len(best) < 2:
            return
        yield best
        for run in best:
            used_indices |= set(range(run.start, run.end))
        groups = [runs for runs in free if len(runs) > 1 and runs is not best]


def candidate_runs(flat_model: FlatModel) -> Iterator[LayerRun]:
    """Yields the runs with a common prefix that a use of a block can replace."""
    consumers = find_consumers(flat_model)
    shared = {str(entry.spec["use"]) for entry in flat_model.entries if "use" in entry.spec}
    used_names = {name.lower() for name in (*(entry.name for entry in flat_model.entries), *flat_model.inputs)}
    for prefix, start, end in shared_prefixes(flat_model.entries):
        entries = flat_model.entries[start:end]
        is_self_contained = all("use" not in entry.spec and entry.name not in shared for entry in entries)
        if is_self_contained and prefix.lower() not in used_names:
            run = layer_run(prefix, start, entries, consumers)
            if run is not None:
                yield run


def shared_prefixes(entries: Sequence[SpecEntry]) -> Iterator[tuple[str, int, int]]:
    """Yields each name prefix of consecutive entries only, with the first index and the one after the last."""
    indices_by_prefix: dict[str, list[int]] = {}
    for index, entry in enumerate(entries):
        for match in re.finditer("_", entry.name):
            indices_by_prefix.setdefault(entry.name[: match.start()], []).append(index)
    for prefix, indices in indices_by_prefix.items():
        is_consecutive = indices[-1] - indices[0] + 1 == len(indices)
        has_block_size = MIN_BLOCK_LAYERS <= len(indices) <= MAX_BLOCK_LAYERS
        if is_consecutive and has_block_size and re.match("[A-Za-z_]", prefix):
            yield prefix, indices[0], indices[-1] + 1


# -- blocks and their uses ---------------------------------------------------------------------------------------------


def block_name(runs: Sequence[LayerRun], used_names: Collection[str]) -> str:
    """An unused block name: the last common word of the prefixes, or the most frequent one in the names."""
    words = WORD_PATTERN.findall(runs[0].prefix) if runs[0].prefix else common_words(runs[0])
    common = set.intersection(*(set(WORD_PATTERN.findall(run.prefix or " ".join(run.names))) for run in runs))
    last_word = next((word.lower() for word in reversed(words) if word in common), "block")
    stem = last_word if last_word not in LAYERS.by_name else "block"
    lettered = (f"{stem}_{letter}" for letter in ascii_lowercase[1:])
    numbered = (f"{stem}_{number}" for number in count(27))
    return next(name for name in chain([stem], lettered, numbered) if name not in used_names)


def common_words(run: LayerRun) -> list[str]:
    """The words in a run's layer names that are not part of the layer type, from rarest to most common."""
    counts = Counter(
        word
        for name, entry in zip(run.names, run.entries, strict=True)
        for word in dict.fromkeys(WORD_PATTERN.findall(name))
        if word not in default_name(str(entry.spec["type"]))
    )
    return [word for word, _ in reversed(counts.most_common())]


def block_definition(
    run: LayerRun, names: Sequence[str], parameters: BlockParameters, *, repeats: bool
) -> dict[str, Json]:
    """The definition of the block for all runs with the structure of `run`."""
    columns = zip(run.entries, names, parameters.specs, run.sources_with_names(names), strict=True)
    entries = [entry._replace(name=name, spec=spec, sources=sources) for entry, name, spec, sources in columns]
    inputs = ["input", *(f"input_{number}" for number in range(2, len(run.outer_sources) + 1))]
    spec = spec_document(FlatModel("model", {name: {} for name in inputs}, entries, [names[run.output_index]]))
    definition: dict[str, Json] = {}
    if parameters.defaults:
        definition["parameters"] = parameters.defaults
    if len(inputs) > 1:
        definition["inputs"] = inputs
    definition["layers"] = merge_repeated_entries(spec["layers"]) if repeats else spec["layers"]
    return definition | ({"outputs": spec["outputs"]} if "outputs" in spec else {})


def outer_entries(flat_model: FlatModel, uses: Mapping[int, BlockUse], document: FoldedDocument) -> Iterator[SpecEntry]:
    """Yields the entries with runs replaced by uses of blocks; sources refer to the names of the uses."""
    index = 0
    while index < len(flat_model.entries):
        entry, use = flat_model.entries[index], uses.get(index)
        if use is None:
            replaced, index = entry, index + 1
        else:
            run, spec = use.run, {"type": use.block, **use.parameters.arguments}
            document.result_names[run.entries[run.output_index].name] = use.name
            replaced = entry._replace(name=use.name, spec=spec, sources=run.outer_sources)
            index = run.end
        sources = tuple(document.result_names.get(source, source) for source in replaced.sources)
        yield replaced._replace(sources=sources)


# -- repetitions -------------------------------------------------------------------------------------------------------


def merge_repeated_entries(entries: Sequence[dict[str, Json]]) -> list[dict[str, Json]]:
    """Merges consecutive entries that are equal up to a counter in their names, or have default names."""
    merged: list[dict[str, Json]] = []
    start = 0
    while start < len(entries):
        end = start + 1
        while end < len(entries) and continues_repetition(entries, start, end):
            end += 1
        merged.append(repeat_entry(entries[start], end - start) if end - start > 1 else entries[start])
        start = end
    return merged


def continues_repetition(entries: Sequence[dict[str, Json]], start: int, index: int) -> bool:
    """Whether an entry is that at `start` again, applied to its predecessor, with the next number in its name."""
    first, other = entries[start], entries[index]
    if "use" in other or "from" in other or {**first, "name": 0, "from": 0} != {**other, "name": 0, "from": 0}:
        return False
    if isinstance(first.get("from"), list) or ("name" in first) != ("name" in other):
        return False
    return "name" not in first or increment_name(str(first["name"]), index - start) == other["name"]


def increment_name(name: str, increment: int) -> str | None:
    """Increments the last number in a name; None if there is none, or if it has leading zeros."""
    match = LAST_NUMBER_PATTERN.fullmatch(name)
    if match is None or (match[2] != "0" and match[2].startswith("0")):
        return None
    return f"{match[1]}{int(match[2]) + increment}{match[3]}"


def repeat_entry(entry: dict[str, Json], count: int) -> dict[str, Json]:
    """An entry with `repeat`, whose name has an expression in place of the last number."""
    repeated = dict(entry)
    match = LAST_NUMBER_PATTERN.fullmatch(str(entry.get("name", "")))
    if match is not None:
        start = int(match[2])
        repeated["name"] = f"{match[1]}${{index{f' + {start}' if start else ''}}}{match[3]}"
    return {"type": repeated.pop("type"), **repeated, "repeat": count}
