"""Scenes for the pages of codes: files and commands that make the command line print a diagnostic of a code."""

from __future__ import annotations

from .scene import CHECK, Scene, class_spec, number_spec, rows, series_spec
from .scenes_of_commands import SCENES_OF_COMMANDS
from .scenes_of_keras import SCENES_OF_KERAS

PEOPLE = {"train": "people.csv", "x": "age", "y": "height"}
AGES = rows("age,height", *(f"{20 + n},{1.5 + n / 100:.2f}" for n in range(40)))
KINDS = {"train": "flowers.csv", "x": "length", "y": "kind"}

LENGTHS = rows("length,kind", *(f"{n},{int(n == 7)}" for n in range(60)))
"""Lengths of sixty flowers, of which one is of the kind 1."""


def _kinds(*values: object) -> dict[str, str]:
    return {"flowers.csv": rows("length,kind", *(f"{number},{value}" for number, value in enumerate(values)))}


def _lint(code: str) -> str:
    return f"jsonnx lint spec.json --data --select {code}"


SCENES_OF_DATA = {
    "bad-data-file": Scene(CHECK, {"people.csv": "age;height\n31;1.80\n"}, number_spec(PEOPLE)),
    "bad-value": Scene(CHECK, {"people.csv": "age,height\n31,tall\n"}, number_spec(PEOPLE)),
    "ragged-row": Scene(CHECK, {"people.csv": "age,height\n31,1,80\n"}, number_spec(PEOPLE)),
    "not-finite": Scene(CHECK, {"people.csv": "age,height\n31,inf\n"}, number_spec(PEOPLE)),
    "empty-data": Scene(CHECK, {"people.csv": "age,height\n"}, number_spec(PEOPLE)),
    "duplicate-column": Scene(CHECK, {"people.csv": "age,age,height\n31,31,1.8\n"}, number_spec(PEOPLE)),
    "missing-column": Scene(CHECK, {"people.csv": AGES}, number_spec({**PEOPLE, "x": "agee"})),
    "ambiguous-columns": Scene(CHECK, {"people.csv": AGES}, number_spec(PEOPLE, inputs=("a", "b"))),
    "dropped-samples": Scene(CHECK, {"people.csv": AGES + "NA,1.7\n"}, number_spec({**PEOPLE, "missing": "drop"})),
    "bad-split": Scene(CHECK, {"people.csv": AGES}, number_spec({**PEOPLE, "split": {"test": 0.5, "validation": 0.6}})),
    "nothing-to-quantize": Scene(
        "jsonnx train spec.json -o runs/a",
        {"people.csv": AGES},
        number_spec(PEOPLE, quantize="edge") | {"quantization": {"edge": {"layers": {"y": None}}}},
    ),
    "data-shape": Scene(CHECK, {"people.csv": AGES}, number_spec(PEOPLE, width=3)),
    "target-scale": Scene(
        CHECK,
        {"people.csv": rows("age,height", *(f"{n},{150000 + 1000 * n}" for n in range(20)))},
        number_spec(PEOPLE),
    ),
    "matched-columns": Scene(CHECK, {"people.csv": AGES}, number_spec({**PEOPLE, "x": ["a*"]})),
    "label-out-of-range": Scene(CHECK, _kinds(1, 2, 3, 1, 2, 3), class_spec(KINDS, classes=3)),
    "learned-labels": Scene(
        "jsonnx train spec.json -o runs/a", _kinds("rose", "lily", "rose", "lily"), class_spec(KINDS, classes=2)
    ),
    "single-class": Scene(CHECK, _kinds(*([1] * 8)), class_spec(KINDS)),
    "split-classes": Scene(CHECK, {"flowers.csv": LENGTHS}, class_spec({**KINDS, "split": {"validation": 0.1}})),
    "validation-classes": Scene(
        CHECK, _kinds(*[0, 1] * 6, *[2] * 4), class_spec({**KINDS, "validation_split": 0.25}, classes=3)
    ),
    "class-imbalance": Scene(_lint("class-imbalance"), {"flowers.csv": LENGTHS}, class_spec(KINDS)),
    "few-class-samples": Scene(_lint("few-class-samples"), {"flowers.csv": LENGTHS}, class_spec(KINDS)),
    "batch-exceeds-data": Scene(_lint("batch-exceeds-data"), {"people.csv": AGES}, number_spec(PEOPLE, batch_size=64)),
    "schedule-length": Scene(
        _lint("schedule-length"),
        {"people.csv": AGES},
        number_spec(
            PEOPLE,
            optimizer={
                "type": "adam",
                "learning_rate": {"type": "CosineDecay", "initial_learning_rate": 0.01, "decay_steps": 100000},
            },
        ),
    ),
    "index-out-of-range": Scene(
        CHECK,
        {"people.csv": rows("age,height", "2,1.5", "5,1.6")},
        {
            "inputs": {"x": {"shape": [], "dtype": "int64"}},
            "layers": [
                {"type": "Embedding", "input_dim": 3, "output_dim": 2},
                {"type": "Dense", "name": "y", "units": 1},
            ],
            "training": {"loss": "mse", "data": PEOPLE},
        },
    ),
    "unknown-token": Scene(
        CHECK,
        {"people.csv": rows("age,height", "young,1.5", "olde,1.6")},
        {
            "inputs": {"x": {"shape": [], "dtype": "string"}},
            "layers": [
                {
                    "type": "StringLookup",
                    "vocabulary": ["young", "old"],
                    "num_oov_indices": 0,
                    "output_mode": "one_hot",
                },
                {"type": "Dense", "name": "y", "units": 1},
            ],
            "training": {"loss": "mse", "data": PEOPLE},
        },
    ),
}

_DAYS = rows("date,sales", *(f"2026-11-{day:02d},{30 + day}" for day in range(1, 29)))
_GAP = _DAYS.replace("2026-11-14,44\n", "")
_STORES = [*(f"south,2026-11-{day:02d},{day}" for day in range(1, 20)), "north,2026-11-01,31", "north,2026-11-02,29"]
_WINDOWS = {"length": 7, "time": "date"}

SCENES_OF_SERIES = {
    "time-gap": Scene(CHECK, {"sales.csv": _GAP}, series_spec(_WINDOWS)),
    "skipped-windows": Scene(CHECK, {"sales.csv": _GAP}, series_spec({**_WINDOWS, "gaps": "skip"})),
    "equal-times": Scene(CHECK, {"sales.csv": _DAYS + "2026-11-28,12\n"}, series_spec(_WINDOWS)),
    "short-series": Scene(
        CHECK,
        {"sales.csv": rows("store,date,sales", *_STORES)},
        series_spec({**_WINDOWS, "by": "store"}),
    ),
    "uneven-times": Scene(
        CHECK,
        {
            "sales.csv": rows(
                "date,sales", *(f"2026-11-27T{hour:02d}:00,{hour}" for hour in range(12)), "2026-11-27T12:40,4"
            )
        },
        series_spec({**_WINDOWS, "step": "1h"}),
    ),
}

SCENES: dict[str, Scene] = {**SCENES_OF_DATA, **SCENES_OF_SERIES, **SCENES_OF_COMMANDS, **SCENES_OF_KERAS}
"""The scenes by code; a code without one has the example of its explanation."""
