"""Operators of onnxruntime's own domain compute what its kernels compute."""

from __future__ import annotations

from typing import Any

import jsonnx
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from support.foreign_models import model, numbers

DOMAIN = "com.microsoft"
B, S, H = "N", 6, 16
SHAPES = {"x": [B, S, H], "skip": [B, S, H]}
VECTORS = {"g": numbers(H, seed=1), "b": numbers(H, seed=2), "c": numbers(H, seed=3)}
MATRIX = {"w": numbers(H, 8, seed=4)}
QKV = {"w": 0.3 * numbers(H, 3 * H, seed=4), "qkv_bias": numbers(3 * H, seed=5)}
ANGLES = np.outer(np.arange(8), 0.1 ** np.arange(2)).astype("float32")
TABLES = {"cos": np.cos(ANGLES), "sin": np.sin(ANGLES)}
PACKED = np.random.default_rng(0).integers(0, 256, (8, 1, 8), "uint8")
NIBBLES = {"K": H, "N": 8, "bits": 4, "block_size": 16}

Case = tuple[str, list[str], dict[str, Any], dict[str, Any]]
CASES: list[Case] = [
    ("Gelu", ["x"], {}, {}),
    ("BiasGelu", ["x", "b"], VECTORS, {}),
    ("FastGelu", ["x"], {}, {}),
    ("FastGelu", ["x", "b"], VECTORS, {}),
    ("QuickGelu", ["x"], {}, {"alpha": 1.7}),
    ("FusedMatMul", ["x", "w"], MATRIX, {"alpha": 0.5}),
    ("FusedMatMul", ["x", "w"], {"w": MATRIX["w"].T.copy()}, {"transB": 1}),
    ("FusedMatMul", ["x", "skip"], {}, {"transB": 1}),
    ("SimplifiedLayerNormalization", ["x", "g"], VECTORS, {"epsilon": 1e-4}),
    ("SkipLayerNormalization", ["x", "skip", "g", "b", "c"], VECTORS, {"epsilon": 1e-4}),
    ("SkipLayerNormalization", ["x", "skip", "g"], VECTORS, {}),
    ("SkipSimplifiedLayerNormalization", ["x", "skip", "g", "c"], VECTORS, {"epsilon": 1e-4}),
    ("Attention", ["x", "w", "qkv_bias"], QKV, {"num_heads": 4}),
    ("Attention", ["x", "w", "qkv_bias"], QKV, {"num_heads": 4, "unidirectional": 1}),
    ("MultiHeadAttention", ["x", "skip", "skip"], {}, {"num_heads": 4, "scale": 0.3}),
    ("MultiHeadAttention", ["x", "skip", "skip", "qkv_bias"], QKV, {"num_heads": 4}),
    ("RotaryEmbedding", ["x", "offset", "cos", "sin"], {**TABLES, "offset": np.int64([1])}, {}),
    ("RotaryEmbedding", ["x", "offset", "cos", "sin"], {**TABLES, "offset": np.int64([0])}, {"interleaved": 1}),
    ("MatMulNBits", ["x", "q", "s"], {"q": PACKED, "s": numbers(8, seed=6)}, NIBBLES),
    (
        "MatMulNBits",
        ["x", "q", "s", "z"],
        {"q": PACKED, "s": numbers(8, seed=6), "z": np.full((8, 1), 7, "uint8")},
        NIBBLES,
    ),
]


def file_of(case: Case, results: int = 1, **dtypes: int) -> onnx.ModelProto:
    op, inputs, tensors, attributes = case
    domain = "" if op == "SimplifiedLayerNormalization" else DOMAIN
    outputs = ["y", "", "", "sum"][:results]
    node = helper.make_node(op, inputs, outputs, name=f"/block/{op}", domain=domain, **attributes)
    shapes = {name: SHAPES.get(name, [B, S]) for name in dict.fromkeys(inputs) if name and name not in tensors}
    read = {name: array for name, array in tensors.items() if name in inputs}
    imports = [helper.make_opsetid(DOMAIN, 1)]
    return model([node], shapes, {name: None for name in outputs if name}, read, 17, dtypes, domains=imports)


def assert_computes(proto: onnx.ModelProto, tmp_path: Any, outputs: list[str] | None = None, **fed: np.ndarray) -> None:
    """The layer gives what onnxruntime gives for the file."""
    onnx.save(proto, tmp_path / "model.onnx")
    spec, weights = jsonnx.from_onnx(tmp_path / "model.onnx")
    spec |= {"outputs": outputs} if outputs else {}
    ours = onnxruntime.InferenceSession(jsonnx.compile(spec, weights).to_bytes())
    file = onnxruntime.InferenceSession(proto.SerializeToString())
    for count in (1, 3):
        feeds = {
            value.name: fed[value.name][:count] if value.name in fed else numbers(count, S, H, seed=index)
            for index, value in enumerate(file.get_inputs())
        }
        for result, expected in zip(ours.run(None, feeds), file.run(None, feeds), strict=True):
            np.testing.assert_allclose(result, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{len(case[1])}")
def test_expansions(case: Case, tmp_path) -> None:
    assert_computes(file_of(case), tmp_path)


def test_sums_before_normalizations_are_results(tmp_path) -> None:
    (case,) = (case for case in CASES if case[0] == "SkipLayerNormalization" and len(case[1]) == 5)
    assert_computes(file_of(case, results=4), tmp_path, ["net", "net.sum"])


@pytest.mark.parametrize("form", ["lengths", "mask"])
def test_masks_of_attention(form: str, tmp_path) -> None:
    masks = {"lengths": np.int32([6, 4, 2]), "mask": np.int32([[1] * 6, [1] * 4 + [0] * 2, [1] * 2 + [0] * 4])}
    case = ("Attention", ["x", "w", "qkv_bias", "m"], QKV, {"num_heads": 4})
    proto = file_of(case, m=TensorProto.INT32)
    if form == "lengths":
        del proto.graph.input[1].type.tensor_type.shape.dim[1]
    assert_computes(proto, tmp_path, m=masks[form])


def test_embeddings_with_their_normalization(tmp_path) -> None:
    tables = {"words": numbers(9, H), "positions": numbers(8, H, seed=1), "segments": numbers(2, H, seed=2)}
    case = (
        "EmbedLayerNormalization",
        ["ids", "kinds", "words", "positions", "segments", "g", "b"],
        tables | VECTORS,
        {},
    )
    ids = {"ids": np.int32(np.arange(18).reshape(3, 6) % 9), "kinds": np.int32(np.arange(18).reshape(3, 6) % 2)}
    proto = file_of(case, ids=TensorProto.INT32, kinds=TensorProto.INT32)
    proto.graph.node[0].output.append("mask_index")
    assert_computes(proto, tmp_path, **ids)


@pytest.mark.parametrize("rotated", [32, 16])
def test_group_query_attention_without_a_cache(rotated: int, tmp_path) -> None:
    size, heads, key_heads = 32, 4, 2
    sizes = [heads * size, key_heads * size, key_heads * size]
    angles = np.outer(np.arange(8), 0.1 ** np.arange(rotated // 2)).astype("float32")
    tensors = {"w": 0.3 * numbers(H, sum(sizes), seed=7), "sizes": np.int64(sizes)}
    tensors |= {"last": np.int32([S - 1]), "total": np.int32(S), "cos": np.cos(angles), "sin": np.sin(angles)}
    operands = ["q", "k", "v", "", "", "last", "total", "cos", "sin"]
    attributes = {"num_heads": heads, "kv_num_heads": key_heads, "do_rotary": 1}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["all"]),
        helper.make_node("Split", ["all", "sizes"], ["q", "k", "v"], axis=2),
        helper.make_node("GroupQueryAttention", operands, ["y", "key", "value"], domain=DOMAIN, **attributes),
    ]
    proto = model(nodes, {"x": [1, S, H]}, {"y": None}, tensors, 17, domains=[helper.make_opsetid(DOMAIN, 1)])
    onnx.save(proto, tmp_path / "model.onnx")
    spec, weights = jsonnx.from_onnx(tmp_path / "model.onnx")
    ours, x = onnxruntime.InferenceSession(jsonnx.compile(spec, weights).to_bytes()), numbers(1, S, H)
    expected = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})[0]
    np.testing.assert_allclose(ours.run(None, {"x": x})[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "activation", [("Relu", None), ("LeakyRelu", [0.2]), ("Clip", [-0.5, 0.5]), ("HardSigmoid", [0.3, 0.4])]
)
def test_fused_convolutions(activation: tuple[str, list[float] | None], tmp_path) -> None:
    options = {"activation": activation[0], "pads": [1, 1], "kernel_shape": [3]}
    options |= {"activation_params": activation[1]} if activation[1] else {}
    case = ("FusedConv", ["x", "k", "kb"], {"k": numbers(H, S, 3), "kb": numbers(H)}, options)
    assert_computes(file_of(case), tmp_path)


def test_a_fused_gemm(tmp_path) -> None:
    tensors = {"w": numbers(8, H, seed=4), "wb": numbers(8, seed=5)}
    activation = {"transB": 1, "activation": "LeakyRelu", "activation_alpha": 0.3}
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"], axis=2),
        helper.make_node("FusedGemm", ["f", "w", "wb"], ["y2"], domain=DOMAIN, **activation),
        helper.make_node("Reshape", ["y2", "shape"], ["y"]),
    ]
    tensors["shape"] = np.int64([-1, S, 8])
    proto = model(nodes, {"x": [B, S, H]}, {"y": None}, tensors, 17, domains=[helper.make_opsetid(DOMAIN, 1)])
    assert_computes(proto, tmp_path)


def test_weights_of_few_bits_are_stored_beside_the_graph(tmp_path) -> None:
    rows, columns = 128, 256
    packed = np.random.default_rng(0).integers(0, 256, (rows, columns // 32, 16), "uint8")
    tensors = {"fc.qweight": packed, "s": numbers(rows * columns // 32)}
    node = helper.make_node(
        "MatMulNBits", ["x", *tensors], ["y"], domain=DOMAIN, K=columns, N=rows, bits=4, block_size=32
    )
    proto = model([node], {"x": [B, columns]}, {"y": None}, tensors, 17, domains=[helper.make_opsetid(DOMAIN, 1)])
    onnx.save(proto, tmp_path / "model.onnx")
    spec, weights = jsonnx.from_onnx(tmp_path / "model.onnx")
    assert weights is not None
    assert weights["net/fc.qweight"].tobytes() == packed.tobytes()
    spec |= {"layers": [*spec["layers"], {"type": "Dense", "units": 2}], "training": {"loss": "mse"}}
    trained = jsonnx.Trainer(spec, weights=weights, partial=True)
    trained.fit(numbers(4, columns), numbers(4, 2), verbose=0)
    assert trained.weights()["net/fc.qweight"].tobytes() == packed.tobytes()


def test_results_without_an_expansion_are_named(tmp_path) -> None:
    case = ("SkipLayerNormalization", ["x", "skip", "g"], VECTORS, {})
    proto = file_of(case)
    proto.graph.node[0].output.append("mean")
    proto.graph.output.append(helper.make_tensor_value_info("mean", TensorProto.FLOAT, [B, S, 1]))
    onnx.save(proto, tmp_path / "model.onnx")
    with pytest.raises(jsonnx.CompileError, match="its result 'mean' is not supported") as error:
        jsonnx.from_onnx(tmp_path / "model.onnx")
    assert error.value.diagnostics[0].code == "unsupported-operator"


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (("QAttention", ["x"], {}, {}), "it is of onnxruntime's own domain, and has no expansion"),
        (("Attention", ["x", "w", "qkv_bias", "", "skip"], QKV, {"num_heads": 4}), "its past is not supported"),
    ],
)
def test_operators_without_an_expansion_say_how_to_export(case: Case, message: str, tmp_path) -> None:
    onnx.save(file_of(case), tmp_path / "model.onnx")
    with pytest.raises(jsonnx.CompileError, match=f"of the node '/block/{case[0]}': {message}") as error:
        jsonnx.from_onnx(tmp_path / "model.onnx")
    assert "ORT_ENABLE_BASIC" in str(error.value)
