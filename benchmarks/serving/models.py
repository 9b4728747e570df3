"""The models that are served, and the bodies of requests to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

SAMPLES = Path(__file__).parents[2] / "samples"
WORDS = [f"word{number}" for number in range(2000)]


@dataclass(frozen=True)
class ServedModel:
    """A model with drawn weights: its speed does not depend on them."""

    about: str
    spec: dict[str, Any]
    input: str
    shape: tuple[int, ...]
    datatype: str
    draw: Callable[[Random], Any]

    def save(self, path: Path) -> None:
        import jsonnx

        jsonnx.compile(self.spec, seed=0).save(path)

    def body(self, rows: int) -> bytes:
        """A request of the Open Inference Protocol as JSON."""
        random, count = Random(0), rows
        for size in self.shape:
            count *= size
        tensor = {"name": self.input, "shape": [rows, *self.shape], "datatype": self.datatype}
        tensor["data"] = [self.draw(random) for _ in range(count)]
        return json.dumps({"inputs": [tensor]}).encode()


def _sample(name: str) -> dict[str, Any]:
    return json.loads((SAMPLES / f"{name}.json").read_text("utf-8"))


def _text_spec() -> dict[str, Any]:
    """The sample of reviews with a given vocabulary in place of a learned one."""
    spec = _sample("reviews")
    spec["layers"][0] = {"type": "TextVectorization", "vocabulary": WORDS, "output_sequence_length": 48}
    return {key: value for key, value in spec.items() if key != "training"}


def _number(random: Random) -> float:
    return round(random.random(), 4)


MODELS = {
    "mlp": ServedModel("784-512-10 perceptron", _sample("mnist_mlp"), "image", (784,), "FP32", _number),
    "cnn": ServedModel("two convolutions on 28x28", _sample("mnist_cnn"), "image", (28, 28, 1), "FP32", _number),
    "text": ServedModel(
        "40 words of text, embedded and averaged",
        _text_spec(),
        "review",
        (),
        "BYTES",
        lambda random: " ".join(random.choice(WORDS) for _ in range(40)),
    ),
}
