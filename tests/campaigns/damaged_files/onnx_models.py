"""Imports mutated ONNX models: `python -m campaigns.damaged_files.onnx_models --count 1000 --seed 0`.

The mutations change nodes, tensors and bytes of small models and of the files named. Whatever is no error with a code
is printed, and the script ends with status 1.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import jsonnx
import onnx
from jsonnx.core.diagnostics import UsageError
from onnx import helper
from support.foreign_models import convolution, model, numbers, perceptron

MAX_SHOWN_FAILURES = 10
MICROSOFT = helper.make_opsetid("com.microsoft", 1)


def _fused() -> onnx.ModelProto:
    weights = {"w": numbers(8, 24), "b": numbers(24), "g": numbers(8), "h": numbers(8)}
    nodes = [
        helper.make_node("Attention", ["x", "w", "b"], ["a"], domain="com.microsoft", num_heads=2),
        helper.make_node("SkipLayerNormalization", ["a", "x", "g", "h"], ["n", "", "", "s"], domain="com.microsoft"),
        helper.make_node("BiasGelu", ["n", "h"], ["y"], domain="com.microsoft"),
    ]
    return model(nodes, {"x": ["N", 4, 8]}, {"y": None, "s": None}, weights, 17, domains=[MICROSOFT])


def _loss() -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["logits"]),
        helper.make_node("SoftmaxCrossEntropyLoss", ["logits", "labels"], ["loss"], ignore_index=-1),
    ]
    inputs, outputs = {"x": ["N", 4], "labels": ["N"]}, {"logits": ["N", 3], "loss": []}
    return model(nodes, inputs, outputs, {"w": numbers(4, 3)}, 17, {"labels": onnx.TensorProto.INT64})


def _sequences() -> onnx.ModelProto:
    nodes = [
        helper.make_node("SplitToSequence", ["x", "two"], ["parts"], axis=1),
        helper.make_node("SequenceAt", ["parts", "one"], ["a"]),
        helper.make_node("SequenceConstruct", ["a", "a"], ["pair"]),
        helper.make_node("ConcatFromSequence", ["pair"], ["c"], axis=1),
        helper.make_node("Dropout", ["c", "ratio"], ["y"]),
    ]
    zero = numbers(1).astype("int64")[0]
    constants = {"two": zero + 2, "one": zero + 1, "ratio": numbers(1)[0]}
    return model(nodes, {"x": ["N", 4]}, {"y": None}, constants)


SEEDS: list[Callable[[], onnx.ModelProto]] = [perceptron, convolution, _fused, _loss, _sequences]


def mutated(proto: onnx.ModelProto, rng: random.Random) -> bytes:
    """The bytes of a model after one or two mutations, and perhaps other bytes."""
    for _ in range(rng.choice((1, 1, 2))):
        rng.choice((_mutate_node, _mutate_tensor, _mutate_values))(proto, rng)
    data = bytearray(proto.SerializeToString())
    if rng.random() < 0.1:
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def _mutate_node(proto: onnx.ModelProto, rng: random.Random) -> None:
    nodes = proto.graph.node
    node = rng.choice(nodes)
    names = [name for each in nodes for name in (*each.input, *each.output)]
    match rng.randrange(5):
        case 0 if node.input:
            node.input[rng.randrange(len(node.input))] = rng.choice([*names, ""])
        case 1:
            node.op_type = rng.choice(
                [each.op_type for each in nodes] + ["If", "Resize", "Slice", "GroupQueryAttention"]
            )
        case 2 if node.attribute:
            attribute = rng.choice(node.attribute)
            attribute.i, attribute.f = rng.choice((-1, 0, 1, 7, 2**40)), rng.choice((-1.0, 0.0, float("nan"), 1e30))
        case 3 if node.input:
            node.input.pop()
        case _:
            node.domain = rng.choice(("", "com.microsoft", "x"))


def _mutate_tensor(proto: onnx.ModelProto, rng: random.Random) -> None:
    tensor = rng.choice(proto.graph.initializer)
    match rng.randrange(3):
        case 0:
            tensor.data_type = rng.randrange(0, 24)
        case 1 if tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice((-1, 0, 1, 3, 2**33))
        case _:
            tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) + 1)]


def _mutate_values(proto: onnx.ModelProto, rng: random.Random) -> None:
    value = rng.choice([*proto.graph.input, *proto.graph.output])
    type = value.type.tensor_type
    match rng.randrange(3):
        case 0:
            type.elem_type = rng.randrange(0, 20)
        case 1 if type.shape.dim:
            rng.choice(type.shape.dim).dim_value = rng.choice((-1, 0, 1, 3, 2**33))
        case _:
            value.name = rng.choice(("x", "y", "w", "z"))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    outcomes: Counter[str] = Counter()
    failures = 0
    seeds = [*SEEDS, *((lambda file=file: onnx.load(file)) for file in options.files)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        for index in range(options.count):
            rng = random.Random(f"{options.seed} {index}")
            try:
                path.write_bytes(mutated(rng.choice(seeds)(), rng))
                spec, weights = jsonnx.from_onnx(path)
                jsonnx.compile(spec, weights)
                outcomes["fine"] += 1
            except (jsonnx.CompileError, UsageError) as error:
                outcomes[
                    error.diagnostics[0].code if isinstance(error, jsonnx.CompileError) else error.diagnostic.code
                ] += 1
            except Exception:  # whatever else is a defect
                failures += 1
                if failures <= MAX_SHOWN_FAILURES:
                    print(f"case {index}:\n{traceback.format_exc()}", file=sys.stderr)
    print(dict(outcomes), f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
