"""Edits of the text have the effect of the JSON Patch, and leave the rest of the text as it is."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from itertools import pairwise
from typing import Any

import pytest
from jsonnx.core.fixes import Edit, Fix, json_patch
from jsonnx.core.positions import json_pointer
from jsonnx.frontend.json.json_reader import from_value, read_text
from jsonnx.frontend.text.text_edits import EditError, apply_text_edits, compatible_fixes, text_edits


def edited(text: str, *edits: Edit) -> str:
    return apply_text_edits(text, text_edits(read_text(text), edits))


@pytest.mark.parametrize(
    ("text", "edit", "expected"),
    [
        ("{}", Edit("add", ("a",), 1), '{"a": 1}'),
        ("{ }", Edit("add", ("a",), 1), '{"a": 1}'),
        ("{\n}\n", Edit("add", ("a",), 1), '{\n  "a": 1\n}\n'),
        ('{\r\n\t"b": {\r\n\t}\r\n}', Edit("add", ("b", "a"), []), '{\r\n\t"b": {\r\n\t\t"a": []\r\n\t}\r\n}'),
        ("[]", Edit("add", (0,), "x"), '["x"]'),
        ('{"a": 1}', Edit("add", ("b",), True), '{"a": 1, "b": true}'),
        ('{"a":1,"b":2}', Edit("add", ("c",), None), '{"a":1,"b":2,"c":null}'),
        ('{\n  "a": 1\n}', Edit("add", ("b",), 2), '{\n  "a": 1,\n  "b": 2\n}'),
        ('{\r\n  "a" : 1\r\n}', Edit("add", ("b",), 2), '{\r\n  "a" : 1,\r\n  "b" : 2\r\n}'),
        ('{"a": 1\n,"b": 2\n}', Edit("add", ("c",), 3), '{"a": 1\n,"b": 2\n,"c": 3\n}'),
        ("[1, 3]", Edit("add", (1,), 2), "[1, 2, 3]"),
        ("[1, 3]", Edit("add", (0,), 2), "[2, 1, 3]"),
        ("[\n  1\n]", Edit("add", (0,), 2), "[\n  2,\n  1\n]"),
        ("[\n  1\n]", Edit("add", (1,), 2), "[\n  1,\n  2\n]"),
        ('{"a": 1, "b": 2}', Edit("remove", ("a",)), '{"b": 2}'),
        ('{"a": 1, "b": 2}', Edit("remove", ("b",)), '{"a": 1}'),
        ('{ "a": 1 }', Edit("remove", ("a",)), "{}"),
        ('{\n  "a": 1,\n  "b": 2\n}', Edit("remove", ("a",)), '{\n  "b": 2\n}'),
        ('{\n  "a": 1,\n  "b": 2\n}', Edit("remove", ("b",)), '{\n  "a": 1\n}'),
        ("[[1, 2], 3]", Edit("remove", (0, 1)), "[[1], 3]"),
        ('{"a": [1 , 2] }', Edit("replace", ("a",), 1.5), '{"a": 1.5 }'),
        (' "x" ', Edit("replace", (), {}), " {} "),
        ('{"a": {"b": []}}', Edit("replace", ("a", "b"), "\u00e4\u200b"), '{"a": {"b": "\u00e4\\u200b"}}'),
        ('{"a\\n": 1, "c": 2}', Edit("move", ("a\n",), new_key="b"), '{"b": 1, "c": 2}'),
        ('\ufeff{"a": 1}', Edit("move", ("a",), new_key="b"), '{"b": 1}'),
    ],
)
def test_an_edit_follows_the_style_of_the_text(text: str, edit: Edit, expected: str) -> None:
    source = read_text(text)
    assert apply_text_edits(source.text, text_edits(source, [edit])) == expected


@pytest.mark.parametrize(
    "edit",
    [
        Edit("replace", ("b",), 1),
        Edit("remove", ("a", 2)),
        Edit("remove", ()),
        Edit("add", (), 1),
        Edit("add", ("c",), 1),
        Edit("add", ("a", 3), 1),
        Edit("add", ("a", "x"), 1),
        Edit("add", ("c", "x"), 1),
        Edit("move", ("a", 0), new_key="x"),
        Edit("move", ("a",), new_key="c"),
        Edit("move", ("a",)),
    ],
)
def test_an_edit_that_does_not_apply_is_refused(edit: Edit) -> None:
    with pytest.raises(EditError):
        edited('{"a": [1, 2], "c": 1}', edit)
    with pytest.raises(EditError):
        text_edits(from_value({"a": [1, 2], "c": 1}), [edit])


def test_edits_of_a_fix_apply_one_after_another_and_are_given_by_the_text_before() -> None:
    text = '{\n  "a": [1, 2],\n  "b": 3\n}'
    edits = [
        Edit("remove", ("a", 0)),
        Edit("replace", ("a", 0), 5),
        Edit("add", ("c",), {}),
        Edit("add", ("c", "d"), 1),
    ]
    result = text_edits(read_text(text), edits)
    assert [(edit.start, edit.end, edit.text) for edit in result] == [
        ((2, 9), (2, 13), "5"),
        ((3, 9), (3, 9), ',\n  "c": {"d": 1}'),
    ]
    assert apply_text_edits(text, result) == '{\n  "a": [5],\n  "b": 3,\n  "c": {"d": 1}\n}'


def test_fixes_that_touch_each_other_wait_for_the_next_pass() -> None:
    source = read_text("[1, 2, 3, 4]")
    fixes = [
        Fix(str(at), (Edit("remove", (at,)),), text_edits=text_edits(source, [Edit("remove", (at,))]))
        for at in range(4)
    ]
    assert [fix.title for fix in compatible_fixes(fixes)] == ["0", "2"]
    chosen = compatible_fixes(fixes)
    assert apply_text_edits(source.text, [edit for fix in chosen for edit in fix.text_edits]) == "[2, 4]"


# -- random documents and edits ----------------------------------------------------------------------------------------

KEYS = ("a", "b", "c~/", "\u00e9", 'q"', "")
SCALARS = (None, True, False, 0, -9, 42, 0.5, "x", "\n", "\\")


def random_value(random_: random.Random, depth: int = 3) -> Any:
    kind = random_.choice(["scalar", "list", "object"]) if depth else "scalar"
    if kind == "list":
        return [random_value(random_, depth - 1) for _ in range(random_.randint(0, 3))]
    if kind == "object":
        return {key: random_value(random_, depth - 1) for key in random_.sample(KEYS, random_.randint(0, 3))}
    return random_.choice(SCALARS)


def written(value: Any, random_: random.Random) -> str:
    """A JSON text of a value with random space between its tokens."""
    space = lambda: random_.choice(["", "", " ", "\n", "\r\n  ", "\t"])  # noqa: E731
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}{space()}:{space()}{written(item, random_)}" for key, item in value.items()]
    elif isinstance(value, list):
        items = [written(item, random_) for item in value]
    else:
        return json.dumps(value)
    opened, closed = "{}" if isinstance(value, dict) else "[]"
    return f"{opened}{space()}{f'{space()},{space()}'.join(items)}{space()}{closed}"


def paths(value: Any) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(), *((step, *path) for step, item in items for path in paths(item))]


def random_edit(value: Any, new: Any, random_: random.Random) -> Edit:
    path = random_.choice(paths(value))
    target = value_at(value, path)
    if (
        isinstance(target, dict)
        and (free := sorted({"a", "b", "new", "c~/"} - target.keys()))
        and random_.random() < 0.5
    ):
        return Edit("add", (*path, random_.choice(free)), new)
    if isinstance(target, list) and random_.random() < 0.5:
        return Edit("add", (*path, random_.randint(0, len(target))), new)
    if path and isinstance(path[-1], str) and random_.random() < 0.3:
        parent = value_at(value, path[:-1])
        return Edit("move", path, new_key=random_.choice(sorted({"k", "new", path[-1]} - (parent.keys() - {path[-1]}))))
    return Edit("remove", path) if path and random_.random() < 0.5 else Edit("replace", path, new)


def value_at(value: Any, path: Any) -> Any:
    for step in path:
        value = value[step]
    return value


def patched(value: Any, operations: list[dict[str, Any]]) -> Any:
    """The value after a JSON Patch, by the text of RFC 6902."""
    root = [deepcopy(value)]

    def target(pointer: str) -> tuple[Any, Any]:
        container, step = root, 0
        for token in pointer.split("/")[1:]:
            container = container[step]
            token = token.replace("~1", "/").replace("~0", "~")
            step = int(token) if isinstance(container, list) else token
        return container, step

    def add(pointer: str, new: Any) -> None:
        container, step = target(pointer)
        if isinstance(container, list) and container is not root:
            container.insert(step, new)
        else:
            container[step] = new

    for operation in operations:
        if operation["op"] == "add":
            add(operation["path"], deepcopy(operation["value"]))
        elif operation["op"] == "replace":
            container, step = target(operation["path"])
            container[step] = deepcopy(operation["value"])
        elif operation["op"] == "remove":
            container, step = target(operation["path"])
            del container[step]
        else:
            container, step = target(operation["from"])
            add(operation["path"], container.pop(step))
    return root[0]


@pytest.mark.parametrize("seed", range(10))
def test_edits_of_the_text_have_the_effect_of_the_json_patch(seed: int) -> None:
    random_ = random.Random(seed)
    for _ in range(100):
        value = random_value(random_)
        text = written(value, random_)
        edits: list[Edit] = []
        expected = value
        for _ in range(random_.randint(1, 3)):
            edits.append(random_edit(expected, random_value(random_, 2), random_))
            expected = patched(value, json_patch(edits))
        result = text_edits(read_text(text), edits)
        after = read_text(apply_text_edits(text, result)).value
        assert json.dumps(after, sort_keys=True) == json.dumps(expected, sort_keys=True), (text, edits)
        assert all(before.end_offset < edit.start_offset for before, edit in pairwise(result)), (text, edits)


def test_a_pointer_escapes_what_rfc_6901_says() -> None:
    assert json_pointer(("a/b", 0, "~", "")) == "/a~1b/0/~0/"
