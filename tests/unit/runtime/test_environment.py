"""The environment of a run, and how differences are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonnx.runtime.fit.environment import INSTRUCTION_SETS, cpu_model, environment_changes, run_environment

HERE = run_environment("cpu", 2, True)


def test_an_environment_equals_itself() -> None:
    assert list(environment_changes(HERE, run_environment("cpu", 2, True))) == []
    assert HERE["CPU"]
    assert HERE.keys() >= {"jsonnx", "onnxruntime", "onnx", "numpy", "provider", "threads", "fast", INSTRUCTION_SETS}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"threads": 3}, ["threads changes from 3 to 2"]),
        (
            {"fast": False, "jsonnx": "0"},
            [f"jsonnx changes from 0 to {HERE['jsonnx']}", "fast changes from False to True"],
        ),
        ({INSTRUCTION_SETS: [*HERE[INSTRUCTION_SETS], "X"]}, ["the CPU lacks X"]),
        ({"old": 1}, ["old changes from 1 to None"]),
    ],
)
def test_differences_are_named(change: dict, told: list[str]) -> None:
    assert list(environment_changes(HERE | change, HERE)) == told


def test_added_instruction_sets_are_named() -> None:
    for before in ([], None, "x", {"a": 1}):
        (change,) = environment_changes(HERE | {INSTRUCTION_SETS: before}, HERE | {INSTRUCTION_SETS: ["AVX2", "FMA"]})
        assert change == "the CPU also has AVX2, FMA"


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC 7763\nflags\t: fpu\n", "AMD EPYC 7763"),
        ("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n", "0x41 0xd0c"),
    ],
)
def test_the_cpus_model_is_read(tmp_path: Path, text: str, model: str) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert cpu_model(tmp_path / "cpuinfo").endswith(model)
    assert cpu_model(tmp_path / "none")
