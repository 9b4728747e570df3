"""Single mistakes in valid specs, as people and language models make them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

from jsonnx.frontend.foreign.foreign_names import KEYS, NAMES_BY_KIND

Path = tuple[str | int, ...]


class Mutation(NamedTuple):
    """A text with one mistake."""

    kind: str
    text: str
    where: str


def mutated(document: Any, random_: random.Random) -> Mutation:
    """Returns the text of a spec with one mistake of a random kind."""
    while True:
        kind = random_.choice([*MUTATORS])
        mutation = MUTATORS[kind](document, random_)
        if mutation is not None:
            return Mutation(kind, *mutation)


Mutator = Callable[[Any, random.Random], tuple[str, str] | None]


def typo(word: str, random_: random.Random) -> str:
    """Returns a word with one letter swapped, dropped, doubled or replaced."""
    at = random_.randrange(max(1, len(word) - 1))
    letter = random_.choice("abcdefghijklmnopqrstuvwxyz")
    return random_.choice(
        [
            word[:at] + word[at + 1 : at + 2] + word[at : at + 1] + word[at + 2 :],
            word[:at] + word[at + 1 :],
            word[: at + 1] + word[at:],
            word[:at] + letter + word[at + 1 :],
        ]
    )


def paths(value: Any, path: Path = ()) -> list[Path]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for step, item in items for inner in paths(item, (*path, step)))]


def value_at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def _text(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)


def _with_value(document: Any, path: Path, value: Any) -> tuple[str, str]:
    changed = deepcopy(document)
    value_at(changed, path[:-1])[path[-1]] = value
    return _text(changed), f"{path}: {value!r}"


def _with_key(document: Any, path: Path, key: str | None) -> tuple[str, str] | None:
    changed = deepcopy(document)
    owner = value_at(changed, path[:-1])
    if key in owner:
        return None
    items = [*owner.items()]
    owner.clear()
    owner.update({(key if name == path[-1] else name): value for name, value in items if key or name != path[-1]})
    return _text(changed), f"{path} -> {key!r}"


def _chosen(document: Any, random_: random.Random, accepts: Callable[[Path, Any], bool]) -> Path | None:
    found = [path for path in paths(document) if path and accepts(path, value_at(document, path))]
    return random_.choice(found) if found else None


def _is_key(path: Path, value: Any) -> bool:
    names = ("inputs", "parameters", "blocks", "scales")  # whose keys the author chooses
    return isinstance(path[-1], str) and path[-1] != "$schema" and (len(path) < 2 or path[-2] not in names)


def _key_typo(document: Any, random_: random.Random) -> tuple[str, str] | None:
    path = _chosen(document, random_, lambda path, value: _is_key(path, value) and len(str(path[-1])) > 3)
    return _with_key(document, path, typo(str(path[-1]), random_)) if path else None


def _is_word(path: Path, value: Any) -> bool:
    keys = {"description", "name", "$schema", "train", "validation", "test", "file"}
    is_written = isinstance(value, str) and len(value) > 3 and "${" not in value and not keys.intersection(path)
    return is_written and path[0] not in ("labels", "parameters", "scales")


def _value_typo(document: Any, random_: random.Random) -> tuple[str, str] | None:
    path = _chosen(document, random_, _is_word)
    return _with_value(document, path, typo(value_at(document, path), random_)) if path else None


def _case(document: Any, random_: random.Random) -> tuple[str, str] | None:
    path = _chosen(document, random_, lambda path, value: path[-1] == "type" and _is_word(path, value))
    return (
        _with_value(document, path, random_.choice([str.lower, str.upper])(value_at(document, path))) if path else None
    )


def _notation(document: Any, random_: random.Random) -> tuple[str, str] | None:
    """A number or constant as text, an item as a list, a list of one as an item."""
    path = _chosen(
        document,
        random_,
        lambda path, value: (
            (isinstance(value, (int, float)) or (isinstance(value, list) and len(value) == 1))
            and path[0] not in ("parameters", "scales")
        ),
    )
    if path is None:
        return None
    value = value_at(document, path)
    if isinstance(value, list):
        return _with_value(document, path, value[0])
    return _with_value(document, path, random_.choice([str(value), json.dumps(value), [value]]))


def _foreign_key(document: Any, random_: random.Random) -> tuple[str, str] | None:
    by_key = {new: [key for key, names in KEYS.items() if names[0] == new] for names in KEYS.values() for new in names}
    path = _chosen(document, random_, lambda path, value: _is_key(path, value) and bool(by_key.get(str(path[-1]))))
    return _with_key(document, path, random_.choice(by_key[str(path[-1])])) if path else None


def _foreign_name(document: Any, random_: random.Random) -> tuple[str, str] | None:
    by_name: dict[str, list[str]] = {}
    for names in NAMES_BY_KIND.values():
        for name, replacement in names.items():
            if isinstance(replacement, str):
                by_name.setdefault(replacement, []).append(name)
    path = _chosen(document, random_, lambda path, value: _is_word(path, value) and value in by_name)
    return _with_value(document, path, random_.choice(by_name[value_at(document, path)])) if path else None


def _removed_key(document: Any, random_: random.Random) -> tuple[str, str] | None:
    path = _chosen(document, random_, _is_key)
    return _with_key(document, path, None) if path else None


def _moved_key(document: Any, random_: random.Random) -> tuple[str, str] | None:
    """A key of a section one level too high."""
    path = _chosen(
        document, random_, lambda path, value: path[0] == "training" and len(path) == 3 and path[-1] != "type"
    )
    if path is None or not isinstance(path[-1], str) or path[-1] in document["training"]:
        return None
    changed = deepcopy(document)
    value = value_at(changed, path[:-1]).pop(path[-1])
    changed["training"][path[-1]] = value
    return _text(changed), f"{path} one level up"


def _wrong_value(document: Any, random_: random.Random) -> tuple[str, str] | None:
    path = _chosen(document, random_, lambda path, value: True)
    return _with_value(document, path, random_.choice([None, {}, [], "x", -1, 0.5, True])) if path else None


def _syntax(document: Any, random_: random.Random) -> tuple[str, str] | None:
    text = _text(document)
    commas = [at for at, character in enumerate(text) if character == "," and text[at + 1] == "\n"]
    closers = [at for at, character in enumerate(text) if character == "\n" and text[at:].lstrip()[:1] in ("}", "]")]
    strings = [at for at, character in enumerate(text) if text.startswith('": "', at)]
    at, closer = random_.choice(commas), random_.choice(closers)
    quoted = random_.choice(strings) + 3 if strings else 0
    end = text.index('"', quoted + 1)
    return random_.choice(
        [
            (text[:at] + text[at + 1 :], "a missing comma"),
            (text[:at] + ",," + text[at + 1 :], "two commas"),
            (text[:closer] + "," + text[closer:], "a trailing comma"),
            (text[: at + 1] + " // note" + text[at + 1 :], "a comment"),
            (text[:quoted] + f"'{text[quoted + 1 : end]}'" + text[end + 1 :], "single quotes"),
            (f"```json\n{text}\n```\n", "a code fence"),
            (text[:-1], "a missing bracket"),
        ]
    )


MUTATORS: dict[str, Mutator] = {
    "misspelled key": _key_typo,
    "misspelled value": _value_typo,
    "case of a type": _case,
    "other notation": _notation,
    "foreign key": _foreign_key,
    "foreign name": _foreign_name,
    "removed key": _removed_key,
    "misplaced key": _moved_key,
    "wrong value": _wrong_value,
    "syntax": _syntax,
}
