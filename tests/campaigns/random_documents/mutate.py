"""Mutates documents: wrong, missing and repeated values, blocks, parameters and repetitions, damaged text."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from random import Random
from typing import Any

from .values import ODD_STRINGS, Json, anything

Path = tuple[Any, ...]


def paths(value: Json, path: Path = ()) -> Iterator[Path]:
    """Yields the paths of all values below a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from paths(item, (*path, key))


def at(document: Json, path: Path) -> Json:
    """Returns the value at a path."""
    for step in path:
        document = document[step]
    return document


def mutate(rng: Random, document: Json) -> Json:
    """Returns the document with one change at a random path."""
    document = copy.deepcopy(document)
    places = list(paths(document))
    if not places:
        return anything(rng)
    path = rng.choice(places)
    parent, key = at(document, path[:-1]), path[-1]
    change = rng.random()
    if change < 0.5:
        parent[key] = anything(rng)
    elif change < 0.65:
        del parent[key]
    elif change < 0.75:
        other = at(document, rng.choice(places))
        parent[key] = copy.deepcopy(other)
    elif change < 0.85 and isinstance(parent, list):
        parent.insert(key, copy.deepcopy(parent[key]))
    elif change < 0.9 and isinstance(parent, list):
        rng.shuffle(parent)
    elif isinstance(parent, dict):
        names = [*_keys(document), *ODD_STRINGS, "repeat", "chain", "carry", "if", "from", "use", "name", "type"]
        parent[rng.choice(names)] = parent.pop(key) if rng.random() < 0.6 else anything(rng)
    else:
        parent[key] = [parent[key]]
    return document


def _keys(value: Json) -> list[str]:
    return [path[-1] for path in paths(value) if isinstance(path[-1], str)]


# -- expansion ---------------------------------------------------------------------------------------------------------


def factor_out(rng: Random, document: Json) -> Json:
    """Returns a document with parameters, repetitions or blocks that mean the same, or nearly the same."""
    document = copy.deepcopy(document)
    changes = [_add_parameters, _add_block, _add_repeat, _add_repeat, _repeat_input, _describe, _add_pattern]
    rng.choice(changes)(rng, document)
    return document


WRAPPERS = (
    *("{}", "{}", "{} + 0", "{} * 1", "max({}, 1)", "{} // 1", "[{}][0]", "{} - 1", "{} ** 2", "round({})"),
    *("{0} if {0} == {0} else null", "{0} if 1 < {0} <= 4 else {0}", "not {}", "{} == 3", "range({})", "len({})"),
    *("sum([{}, 1])", "ceil({} / 1)", "'{}'", "[{0}, [{0}]]", "{} in [1, 2]", "range({} ** 9)", "abs({}) and true"),
)
"""Expressions of a parameter. Some keep its value, and others have another type or none."""


def _parameter(rng: Random, default: Json) -> Json:
    """Returns the definition of a parameter, mostly its default."""
    objects = [
        {"default": default},
        {"default": default, "description": "d"},
        {"required": True},
        {"required": default},
    ]
    return rng.choice(objects) if rng.random() < 0.3 else default


def _describe(rng: Random, document: Json) -> None:
    """Adds descriptions to entries, inputs and outputs."""
    described = [*document["layers"], *document["inputs"].values()]
    for part in described:
        if isinstance(part, dict) and rng.random() < 0.5:
            part["description"] = "d" if rng.random() < 0.9 else anything(rng)
    outputs = document.get("outputs")
    if isinstance(outputs, list) and all(isinstance(name, str) for name in outputs):
        document["outputs"] = {name: rng.choice([{}, {"description": "d"}]) for name in outputs}


def _add_pattern(rng: Random, document: Json) -> None:
    """Replaces names in a `from` by a pattern."""
    entries = [entry for entry in document["layers"] if isinstance(entry, dict) and "from" in entry]
    if entries:
        patterns = ["*", "?", "dense*", "[xy]", "*.*", "*.state_?", "re_lu_[0-9]", "[", "x", "*_*"]
        rng.choice(entries)["from"] = rng.choice([rng.choice(patterns), rng.sample(patterns, 2)])


def _add_parameters(rng: Random, document: Json) -> None:
    scalars = [
        path
        for path in paths(document)
        if path[0] in ("inputs", "layers", "training", "labels", "outputs")
        and not isinstance(at(document, path), (dict, list))
        and path[-1] not in ("type", "use")
    ]
    for number, path in enumerate(rng.sample(scalars, min(len(scalars), rng.randint(1, 3)))):
        parent, value, name = at(document, path[:-1]), at(document, path), f"p{number}"
        definition = _parameter(rng, value)
        if rng.random() < 0.2:
            definition, name = [[value, 1], [[value]]], f"{name}[0][0]"
        document.setdefault("parameters", {})[f"p{number}"] = definition
        parent[path[-1]] = f"${{{rng.choice(WRAPPERS).format(name)}}}"
    if rng.random() < 0.3 and "parameters" in document:
        document["scales"] = {"small": {name: anything(rng) for name in list(document["parameters"])[:1]}}


def _add_block(rng: Random, document: Json) -> None:
    layers = document["layers"]
    start = rng.randrange(len(layers))
    end = rng.randint(start + 1, len(layers))
    if any(isinstance(entry, dict) and {"from", "use"} & entry.keys() for entry in layers[start:end]):
        return
    block: Json = {"layers": layers[start:end]}
    use: Json = {"type": "part"}
    numbers = [path for path in paths(block["layers"]) if isinstance(at(block["layers"], path), (int, float))]
    if numbers and rng.random() < 0.6:
        path = rng.choice(numbers)
        value = at(block["layers"], path)
        at(block["layers"], path[:-1])[path[-1]] = "${p}"
        block["parameters"] = {"p": _parameter(rng, rng.choice([value, anything(rng)]))}
        if rng.random() < 0.2:
            document["parameters"], block["globals"] = {"p": value}, rng.choice([["p"], ["q"], []])
            block["parameters"] = rng.choice([{}, block["parameters"]])
        if rng.random() < 0.5:
            use["p"] = value
    if rng.random() < 0.2:
        use["repeat"] = rng.choice([0, 1, 2, 3, -1, "${p}", None, 1.5])
    if rng.random() < 0.2:
        use["name"] = "part_${index}" if "repeat" in use else "part"
    document["blocks"] = {"part": block}
    if rng.random() < 0.2:
        document["blocks"]["outer"] = {"layers": [{"type": "part"}, *rng.choice([[], [{"type": "ReLU"}], [use]])]}
        use = use | {"type": "outer"} if rng.random() < 0.5 else {"type": "outer"}
    if rng.random() < 0.2:
        block["inputs"] = rng.choice([["input"], ["a", "b"], ["x"], [], {"input": {"description": "d"}}, {"a": {}}])
    if rng.random() < 0.2:
        block["description"] = use["description"] = "d"
    if rng.random() < 0.1:
        block["names"] = rng.choice(["own", "joined"])
    document["layers"] = [*layers[:start], use, *layers[end:]]


def _add_repeat(rng: Random, document: Json) -> None:
    entry = rng.choice(document["layers"])
    if isinstance(entry, dict):
        entry["repeat"] = rng.choice(
            [0, 1, 2, 3, 5, -1, 1.5, "2", None, "${1 + 1}", "${index < 1}", "${2 > 1}", 2**31, True]
        )
        if "name" in entry and rng.random() < 0.5:
            entry["name"] = "r_${index}"
        for key in ("chain", "if", "carry"):
            if rng.random() < 0.3:
                entry[key] = rng.choice(FLAGS if key != "carry" else CARRIED)
        if rng.random() < 0.3:
            entry["from"] = rng.choice(
                [document["layers"][0].get("name", "a"), "${index}", "x_${index + 1}", ["x", "x"]]
            )


FLAGS = (True, False, False, "${1 < 2}", "${index > 0}", 0, None, "no", [], "${[x for x in [1] if x == 1] == []}")
CARRIED = ("a", ["a"], ["dense", "dense"], [], None, "${index}", ["${'a'}"], [1], {"a": "b"})


def _repeat_input(rng: Random, document: Json) -> None:
    """Repeats an input, and a layer beside it that takes each copy."""
    inputs = document.get("inputs")
    if not isinstance(inputs, dict) or not inputs:
        return
    name = rng.choice([*inputs])
    if isinstance(inputs[name], dict):
        count = inputs[name]["repeat"] = rng.choice([0, 1, 2, 3, -1, None, "${1 + 1}", "${index}", True])
        entry = {"type": "Identity", "name": "each", "from": f"{name}_${{index + 1}}", "repeat": count, "chain": False}
        if rng.random() < 0.5:
            document["layers"][:0] = [entry, {"type": "Add", "from": rng.choice(["each", ["each", "each"], [name]])}]


# -- text --------------------------------------------------------------------------------------------------------------


def mutate_text(rng: Random, text: str) -> str:
    """Returns the text with a piece removed, doubled or replaced."""
    start = rng.randrange(len(text))
    end = min(len(text), start + rng.choice([1, 1, 2, 5, 20]))
    pieces = (
        "",
        text[start:end] * 2,
        "NaN",
        "1e999",
        "-",
        "\u0000",
        '"',
        "{",
        "]",
        ",",
        "\U0001f600",
        "\ud83d",
        "//",
        "0x1",
    )
    return text[:start] + rng.choice(pieces) + text[end:]
