"""Generated clients: names that are no identifiers or collide, hostile texts, and syntax that Python reads."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest
from jsonnx.core.signature.model_fields import ModelFields, PredictionField, RowField
from jsonnx.render.clients.client_names import MAX_LISTED_CHOICES
from jsonnx.render.clients.python_client import python_client
from jsonnx.render.clients.typescript_client import typescript_client

HOSTILE = 'He said """hi""" \\ */ // \' ` ${x}\n\u202e\u2028\x00 end"'
NAMES = ["height (cm)", "class", "2nd", "größe", "a-b", "a b", "__x", "row", "Client", "None", HOSTILE, "", "漢字"]


def fields_of(rows: list[RowField], predictions: list[PredictionField], **more: Any) -> ModelFields:
    return ModelFields("m", more.pop("description", None), tuple(rows), tuple(predictions), **more)


def types_in(source: str) -> dict[str, Any]:
    """The module of a client, after its import."""
    module: dict[str, Any] = {"__name__": "generated"}
    exec(compile(source, "client.py", "exec"), module)
    return module


def test_any_name_is_a_key() -> None:
    rows = [RowField(name, "x", "category", "string", (), ("a", name), example="a") for name in NAMES]
    outputs = [PredictionField(name, "class", "float32", ("b", name or "c")) for name in NAMES]
    fields = fields_of(rows, outputs, description=HOSTILE)
    module = types_in(python_client(fields))
    assert list(module["Row"].__annotations__) == NAMES
    assert list(module["Prediction"].__annotations__) == NAMES
    assert issubclass(module["ServerError"], Exception)
    names = [node.targets[0].id for node in ast.parse(python_client(fields)).body if isinstance(node, ast.Assign)]  # type: ignore[attr-defined]
    assert len(names) == len(set(names))
    source = typescript_client(fields)
    declared = re.findall(r"^export (?:type|interface|class) (\w+)", source, re.MULTILINE)
    assert len(declared) == len(set(declared)) == 3 * len(NAMES) + 5


@pytest.mark.parametrize("generate", [python_client, typescript_client])
def test_texts_stay_in_comments_and_literals(generate: Any) -> None:
    field = RowField("x", "x", "category", "string", (), (HOSTILE,), description=HOSTILE, example=HOSTILE)
    output = PredictionField("y", "class", "float32", (HOSTILE, "b"), description=HOSTILE)
    source = generate(fields_of([field], [output], description=HOSTILE))
    assert all(char.isprintable() or char == "\n" for char in source)
    if generate is python_client:
        module = types_in(source)
        assert module["X"].__args__ == (HOSTILE,)
        tree = ast.parse(source)
        assert sum(isinstance(node, ast.ClassDef) for node in tree.body) == 5  # nothing else has become code
        assert (ast.get_docstring(tree) or "").count("He said") == 2
    else:
        without_comments = re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)
        assert without_comments.count("He said") == 2  # the two types


def test_a_type_for_each_kind_of_field() -> None:
    rows = [
        RowField("number", "x", "number", "float32", may_be_missing=True, example=1.5),
        RowField("count", "x", "integer", "int64", maximum=8, example=0),
        RowField("flag", "x", "boolean", "bool", example=False),
        RowField("size", "x", "category", "int64", (), (4, 7), example=4),
        RowField("words", "x", "array", "string", (None, 2), example=[["a", "b"]]),
        RowField("day", "x", "date", "string", date_formats=("%d.%m.%Y", "%Y"), example="30.11.2026"),
        RowField("photo", "x", "image", "uint8", (8, 8, 3)),
        RowField("many", "x", "category", "string", (), tuple(map(str, range(MAX_LISTED_CHOICES + 1))), example="0"),
    ]
    outputs = [
        PredictionField("one", "class", "float32", ("a", "b", "c")),
        PredictionField("two", "binary", "float32", ("no", "yes")),
        PredictionField("some", "labels", "float32", ("a", "b"), False),
        PredictionField("cut", "labels", "float32", ("a", "b"), has_label_thresholds=True),
        PredictionField("value", "value", "int64", shape=(None, 3)),
    ]
    fields = fields_of(rows, outputs)
    python, typescript = python_client(fields), typescript_client(fields)
    for line in (
        "number: float | None",
        "# 0 to 8.\n    count: int",
        "flag: bool",
        "Size = Literal[4, 7]",
        "words: list[list[str]]",
        "# A date, such as 30.11.2026 (%d.%m.%Y or %Y).\n    day: str",
        "photo: str | list[list[list[int]]]",
        "many: str",
        "label: One\n    probabilities: dict[One, float]\n\n",
        'label: Two\n    probabilities: dict[Literal["yes"], float]\n    threshold: float',
        "labels: list[Some]\n    scores: dict[Some, float]\n    threshold: float",
        "labels: list[Cut]\n    probabilities: dict[Cut, float]\n    threshold: dict[Cut, float]",
        "value: list[list[int]]",
        'Client("http://localhost:8000").predict({\n        "number": 1.5, "count": 0, "flag": False, "size": 4,',
        '"photo": picture("image.png")',
    ):
        assert line in python
    for line in (
        "number: number | null;",
        "flag: boolean;",
        "export type Size = 4 | 7;",
        "words: string[][];",
        "photo: string | number[][][];",
        "many: string;",
        "label: One;\n  probabilities: Record<One, number>;\n}",
        'label: Two;\n  probabilities: Record<"yes", number>;\n  threshold: number;',
        "labels: Some[];\n  scores: Record<Some, number>;",
        "probabilities: Record<Cut, number>;\n  threshold: Record<Cut, number>;",
        "value: number[][];",
    ):
        assert line in typescript
    assert types_in(python)["picture"]


def test_a_series_has_no_prediction_of_one_row() -> None:
    fields = fields_of(
        [RowField("x", "x", "number", "float32")], [PredictionField("y", "value", "float32")], window_length=9
    )
    for source in (python_client(fields), typescript_client(fields)):
        assert "A step of a time series: 9 that follow one another give a prediction." in source
        assert "predict(" not in source
        assert max(map(len, source.splitlines())) <= 120
