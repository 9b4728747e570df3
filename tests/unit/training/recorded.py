"""Reads the fixtures, and components in the form of a spec."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from jsonnx.core.components import ComponentCodec, Registry


def recorded(cases: list[Any], name: str) -> list[tuple[Any, dict[str, Any]]]:
    """Every case with the values that Keras computed."""
    said = json.loads((Path(__file__).parent / "fixtures" / f"{name}.json").read_text())
    return list(zip(cases, said, strict=True))


def read(family: Registry, spec: Any) -> Any:
    return ComponentCodec(family).read(spec)


def array(values: Any, like: str = "float32") -> np.ndarray:
    return np.asarray(values, like)


def target_array(values: Any) -> np.ndarray:
    """Targets as an array; integers are class indices."""
    found = np.asarray(values)
    return found if found.dtype.kind == "i" else found.astype("float32")
