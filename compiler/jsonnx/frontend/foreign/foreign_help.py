"""Help texts for names of other programs: what to write here in their place."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ...core.diagnostics import or_list
from ...core.fixes import Suggestion

if TYPE_CHECKING:
    from .foreign_names import ForeignValue, Replacement

MODULES = (
    r"^(?:(?:tensorflow|tf|keras|torch|torchvision|sklearn|nn|functional|layers|losses|metrics|optim|lr_scheduler|"
    r"optimizers|schedules|activations|initializers|regularizers|init|preprocessing|transforms|math|backend|F|K)\.)+"
)
"""The modules before a name that is written as in a program: `torch.nn.`, `tf.keras.layers.`."""


LAYER_LOSS_HELP = 'it compares several outputs: compute it with layers, and add {"type": "AddLoss"} behind them'


@cache
def _losses_of_layers() -> set[str]:
    from .foreign_names import LOSSES_OF_SEVERAL_OUTPUTS

    return {name.lower() for name in LOSSES_OF_SEVERAL_OUTPUTS}


@cache
def _names_by_lower_case(kind: str) -> dict[str, tuple[str, Replacement]]:
    """The names of a kind, with their replacements."""
    from .foreign_names import NAMES_BY_KIND  # only for an error: valid specs do not need the table

    return {name.lower(): (name, replacement) for name, replacement in NAMES_BY_KIND.get(kind, {}).items()}


def foreign_name_help(kind: str, name: str, known: Collection[str]) -> str | None:
    """The text of `foreign_name`."""
    suggestion = foreign_name(kind, name, known)
    return suggestion.text if suggestion else None


def foreign_name(kind: str, name: str, known: Collection[str]) -> Suggestion | None:
    """The replacement of the name of a component of another program; None for an unknown name.

    The replacement is the name of a component, or an object with `...` for values that the user must choose. `kind` is
    that of the component, such as `layer`, and `known` are the names that exist.
    """
    plain = re.sub(MODULES, "", name)
    known_by_lower_case = {word.lower(): word for word in reversed(list(known))}
    if kind == "loss" and plain.lower() in _losses_of_layers():
        return Suggestion(LAYER_LOSS_HELP, name, ())
    candidates = [plain, *([f"ops.{plain}"] if kind == "layer" and plain != name else [])]
    if plain.lower().endswith("layer"):
        candidates.append(plain[: -len("layer")].rstrip("_"))
    names = _names_by_lower_case(kind)
    for candidate in candidates:
        exact = known_by_lower_case.get(candidate.lower())
        if exact is not None and candidate != name:
            return Suggestion(f'write "{exact}"', name, (exact,))
        if candidate.lower() in names and exact is None:
            written, replacement = names[candidate.lower()]
            # In another case, it may be another name misspelt: `geLU` is one letter away from ReLU.
            return _suggestion(kind, name, replacement)._replace(is_safe=candidate == written)
    return None


def _suggestion(kind: str, name: str, replacement: Replacement) -> Suggestion:
    if isinstance(replacement, tuple) and kind != "layer":
        return Suggestion(f"choose {or_list(map(_json_text, replacement))}", name, replacement)
    if isinstance(replacement, tuple):
        names = ", ".join(replacement)
        text = f"write it as layers: {names}" if len(replacement) > 1 else f"use {names}"
        return Suggestion(text, name, replacement if len(replacement) == 1 else ())
    return Suggestion(f"write {_json_text(replacement)}", name, (replacement,))


def _json_text(value: ForeignValue) -> str:
    """A value as JSON, with `...` for values that the user must choose."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(key)}: {_json_text(item)}' for key, item in value.items())}}}"
    return "..." if value is ... else json.dumps(value)


def replaced_keys(key: str, known: Mapping[str, object] | Collection[str]) -> tuple[str, ...]:
    """The known keys of an object that stand for a key of another program; usually one."""
    from .foreign_names import KEYS, SPLIT_KEYS

    if key in SPLIT_KEYS and all(part in known for part in SPLIT_KEYS[key]):
        return SPLIT_KEYS[key]
    return next(((name,) for name in KEYS.get(key, ()) if name in known), ())


class KeyCorrection(NamedTuple):
    """The help for a key of another program."""

    text: str
    new_keys: tuple[str, ...]
    """The keys that replace it; none if it is removed."""
    is_certain: bool = True
    """Whether nothing else has to be changed."""


def key_correction(key: str, known: Mapping[str, object] | Collection[str]) -> KeyCorrection | None:
    """The help for a key of another program, in an object with these known keys, or None."""
    if replaced := replaced_keys(key, known):
        return KeyCorrection(f"write {' and '.join(map(repr, replaced))}", replaced)
    from .foreign_names import NEEDLESS_KEYS, REDUNDANT

    sign, reason = NEEDLESS_KEYS.get(key, ("", ""))
    return KeyCorrection(f"remove it: {reason}", (), reason in REDUNDANT) if sign in known else None
