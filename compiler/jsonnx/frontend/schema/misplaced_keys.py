"""Keys that are written in the wrong object: one level too high or too low."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import NamedTuple

from ...core.components import Json
from ...core.diagnostics import JsonPath
from ...core.fixes import Edit, Fix
from ...layers import LAYERS
from ...sections.budget_section import BudgetSection
from ...sections.data_section import AudioSection, DataSection, ImagesSection
from ...sections.lint_section import LintSection
from ...sections.split_section import SequencesSection, SplitSection, WindowsSection
from ...sections.sweep_section import PruningSection, SweepSection
from ...sections.training_section import (
    CheckpointSection,
    EarlyStoppingSection,
    InitialWeightsSection,
    ReduceOnPlateauSection,
    TimeLimitSection,
    Training,
)
from ...training.optimizers.optimizer import OPTIMIZERS
from ..foreign.foreign_help import replaced_keys
from .fast_validator import is_valid
from .schema import root_schema
from .schema_paths import child_schema, schema_at, value_at


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
        ("budget",): BudgetSection.attributes,
        ("sweep",): SweepSection.attributes,
        ("sweep", "pruning"): PruningSection.attributes,
    }


class MisplacedKey(NamedTuple):
    """Where a key belongs."""

    text: str
    fix: Fix | None = None


def misplaced_key(key: str, path: JsonPath, document: Json) -> MisplacedKey | None:
    """Where a key that the object at a path of the document does not know belongs, or None."""
    instance = value_at(document, path)
    if isinstance(instance, dict) and "use" in instance and path[:1] == ("layers",):
        is_argument = any(key in layer.attributes for layer in LAYERS)
        text = f"give {key!r} to the layer itself: 'use' calls it again with the same arguments"
        return MisplacedKey(text) if is_argument else None
    if path in _keys_by_section():
        return _in_section(key, path, document)
    return _in_inner_layer(key, path, instance, document)


def _in_section(key: str, path: JsonPath, document: Json) -> MisplacedKey | None:
    """The section of the spec that knows a key: the least nested one."""
    candidates = [section for section, keys in _keys_by_section().items() if key in keys and section != path]
    if not candidates:
        return _foreign_in_section(key, path, document)
    nearest = min(candidates, key=lambda section: _level_count(section, path))
    where = f"in '{'.'.join(map(str, nearest))}'" if nearest else "at the top level of the document"
    return MisplacedKey(f"it belongs {where}", move_fix(path, key, nearest, (key,), document))


def _foreign_in_section(key: str, path: JsonPath, document: Json) -> MisplacedKey | None:
    """The section below the one at a path that knows a key of another program by another name."""
    for section, keys in _keys_by_section().items():
        if section[:-1] == path != () and (names := replaced_keys(key, keys)):
            text = f"write {' and '.join(map(repr, names))} in '{'.'.join(map(str, section))}'"
            return MisplacedKey(text, move_fix(path, key, section, names, document))
    return None


def _level_count(section: JsonPath, path: JsonPath) -> int:
    """The number of levels up and down from one section to another."""
    common = 0
    while section[common : common + 1] == path[common : common + 1] != ():
        common += 1
    return len(section) + len(path) - 2 * common


def _in_inner_layer(key: str, path: JsonPath, instance: Json, document: Json) -> MisplacedKey | None:
    """The argument that takes an inner layer, if the key is one of that layer's arguments."""
    outer = LAYERS.by_name.get(str(instance.get("type"))) if isinstance(instance, dict) else None
    argument = next((name for name in ("layer", "cell") if outer is not None and name in outer.attributes), None)
    inner = instance.get(argument) if isinstance(instance, dict) and argument else None
    inner_type = LAYERS.by_name.get(str(inner.get("type"))) if isinstance(inner, dict) else None
    if inner_type is None or key not in inner_type.attributes:
        return None
    return MisplacedKey(f"it belongs in {argument!r}", move_fix(path, key, (*path, str(argument)), (key,), document))


def move_fix(path: JsonPath, key: str, target: JsonPath, new_keys: tuple[str, ...], document: Json) -> Fix | None:
    """The fix that moves a key from the object at a path to the one at another, which is created if it is
    missing. Of a list, each of several new keys gets one item. None if the values are not valid there, or a key exists
    there."""
    value = value_at(document, (*path, key))
    if len(new_keys) > 1 and not (isinstance(value, list) and len(value) == len(new_keys)):
        return None
    entries: dict[str, Json] = dict(zip(new_keys, value if len(new_keys) > 1 else [value], strict=True))
    edits = _additions(target, entries, document)
    where = f"'{'.'.join(map(str, target))}'" if target else "the top level"
    return Fix(f"Move the key to {where}", (Edit("remove", (*path, key)), *edits)) if edits else None


def _additions(target: JsonPath, entries: dict[str, Json], document: Json) -> list[Edit]:
    """The edits that add entries to the object at a path; none if that is not valid."""
    existing = next(target[:length] for length in range(len(target), -1, -1) if _exists(document, target[:length]))
    owner, schema = value_at(document, existing), schema_at(document, existing)
    if isinstance(owner, str) and existing == target:  # a component without arguments
        component = {"type": owner, **entries}
        return [Edit("replace", target, component, old=owner)] if schema and is_valid(component, schema) else []
    if not isinstance(owner, dict) or schema is None:
        return []
    missing = target[len(existing) :]
    if missing:
        section: Json = entries
        for step in reversed(missing[1:]):
            section = {step: section}
        entries = {str(missing[0]): section}
    schemas = {key: child_schema(schema, {**owner, **entries}, key) for key in entries}
    is_allowed = all(schemas[key] is not None and is_valid(value, schemas[key]) for key, value in entries.items())
    if not is_allowed or any(key in owner for key in entries):
        return []
    return [Edit("add", (*existing, key), value) for key, value in entries.items()]


def _exists(document: Json, path: JsonPath) -> bool:
    try:
        value_at(document, path)
    except (KeyError, IndexError, TypeError):
        return False
    return True
