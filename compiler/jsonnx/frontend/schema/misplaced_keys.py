"""Keys that are written in the wrong object: one level too high or too low."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

from ...core.components import Json
from ...core.diagnostics import JsonPath
from ...layers import LAYERS
from ...search.section import PruningSection, SweepSection
from ...training.data_section import AudioSection, DataSection, ImagesSection
from ...training.optimizer import OPTIMIZERS
from ...training.section import (
    CheckpointSection,
    EarlyStoppingSection,
    InitialWeightsSection,
    ReduceOnPlateauSection,
    TimeLimitSection,
    Training,
)
from ...training.split_section import SequencesSection, SplitSection, WindowsSection
from ..foreign_help import replaced_keys
from ..lint_section import LintSection
from .schema import root_schema


@cache
def _keys_by_section() -> dict[JsonPath, Collection[str]]:
    """The keys of the sections of a spec that stand for themselves, by the path of the section."""
    return {
        (): set(root_schema()["properties"]),
        ("training",): Training.attributes,
        ("training", "optimizer"): {name for optimizer in OPTIMIZERS for name in optimizer.attributes},
        ("training", "early_stopping"): EarlyStoppingSection.attributes,
        ("training", "reduce_on_plateau"): ReduceOnPlateauSection.attributes,
        ("training", "checkpoint"): CheckpointSection.attributes,
        ("training", "time_limit"): TimeLimitSection.attributes,
        ("training", "data"): DataSection.attributes,
        ("training", "data", "split"): SplitSection.attributes,
        ("training", "data", "windows"): WindowsSection.attributes,
        ("training", "data", "sequences"): SequencesSection.attributes,
        ("training", "data", "images"): ImagesSection.attributes,
        ("training", "data", "audio"): AudioSection.attributes,
        ("training", "weights"): InitialWeightsSection.attributes,
        ("lint",): LintSection.attributes,
        ("sweep",): SweepSection.attributes,
        ("sweep", "pruning"): PruningSection.attributes,
    }


def misplaced_key_help(key: str, path: JsonPath, instance: Json) -> str | None:
    """Returns where a key that the object at a path does not know belongs, or None."""
    if isinstance(instance, dict) and "use" in instance and path[:1] == ("layers",):
        return _use_help(key)
    if path in _keys_by_section():
        return _section_help(key, path)
    return _inner_layer_help(key, instance)


def _use_help(key: str) -> str | None:
    is_argument = any(key in layer.attributes for layer in LAYERS)
    return f"give {key!r} to the layer itself: 'use' calls it again with the same arguments" if is_argument else None


def _section_help(key: str, path: JsonPath) -> str | None:
    """Returns the section of the spec that knows a key: the one to which the fewest levels lead."""
    candidates = [section for section, keys in _keys_by_section().items() if key in keys and section != path]
    if not candidates:
        return _foreign_section_help(key, path)
    nearest = min(candidates, key=lambda section: _level_count(section, path))
    where = f"in '{'.'.join(map(str, nearest))}'" if nearest else "at the top level of the document"
    return f"it belongs {where}"


def _foreign_section_help(key: str, path: JsonPath) -> str | None:
    """Returns the section below the one at a path that knows a key of another program by another name."""
    for section, keys in _keys_by_section().items():
        if section[:-1] == path != () and (names := replaced_keys(key, keys)):
            return f"write {' and '.join(map(repr, names))} in '{'.'.join(map(str, section))}'"
    return None


def _level_count(section: JsonPath, path: JsonPath) -> int:
    """The number of levels up and down from one section to another."""
    common = 0
    while section[common : common + 1] == path[common : common + 1] != ():
        common += 1
    return len(section) + len(path) - 2 * common


def _inner_layer_help(key: str, instance: Json) -> str | None:
    """Returns the argument that takes an inner layer, if the key is one of that layer's arguments."""
    outer = LAYERS.by_name.get(str(instance.get("type"))) if isinstance(instance, dict) else None
    argument = next((name for name in ("layer", "cell") if outer is not None and name in outer.attributes), None)
    inner = instance.get(argument) if isinstance(instance, dict) and argument else None
    inner_type = LAYERS.by_name.get(str(inner.get("type"))) if isinstance(inner, dict) else None
    return f"it belongs in {argument!r}" if inner_type is not None and key in inner_type.attributes else None
