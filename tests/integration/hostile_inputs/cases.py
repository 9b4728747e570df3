"""Hostile inputs by the row of `rows.py` that they belong to: each writes files and names a command that reads them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

SPEC = "spec.json"


class Case(NamedTuple):
    """An input of a row. `write` makes the files in the current folder."""

    row: str
    name: str
    write: Callable[[], None]
    arguments: tuple[str, ...] = ("validate", SPEC)

    @property
    def id(self) -> str:
        return f"{self.row}_{self.name}"


def text(row: str, name: str, content: str | bytes, *arguments: str) -> Case:
    """A spec of this text."""
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return Case(row, name, lambda: bytes_to(SPEC, data), arguments or ("validate", SPEC))


def made(row: str, name: str, make: Callable[[], str], *arguments: str) -> Case:
    """A spec whose text is too long to be made before it is needed."""
    return Case(row, name, lambda: bytes_to(SPEC, make().encode()), arguments or ("validate", SPEC))


def document(row: str, name: str, *layers: Any, shape: Any = (4,), **keys: Any) -> Case:
    """A spec of these layers, with an input of this shape and further keys."""
    value = {"inputs": {"x": {"shape": list(shape)}}, "layers": list(layers), **keys}
    return text(row, name, json.dumps(value, indent=1))


def trained(row: str, name: str, **data: Any) -> Case:
    """A valid spec whose training has these data."""
    return document(row, name, DENSE, training={"loss": "mse", "data": {"y": "y", **data}})


def bytes_to(path: str, data: bytes) -> None:
    Path(path).write_bytes(data)


DENSE: dict[str, Any] = {"type": "Dense", "name": "d", "units": 4}
ADAM = {"type": "adam"}
VALID = '{"inputs": {"x": {"shape": [4]}}, "layers": [{"type": "Dense", "units": 4}]}'


# -- A: the text of a spec -------------------------------------------------------------------------------------------


def _sparse() -> None:
    with open(SPEC, "wb") as file:
        file.truncate(1 << 30)


def _folder() -> None:
    os.mkdir(SPEC)


def _fifo() -> None:
    os.mkfifo(SPEC)


def _nothing() -> None:
    pass


def _unlisted_link() -> None:
    os.symlink("absent.json", SPEC)


JSON_TEXT = (
    text("A1", "empty", ""),
    text("A1", "spaces", " \n\t "),
    *(text("A2", f"cut_at_{offset}", VALID[:offset]) for offset in (1, 3, 20, 40, 60, len(VALID) - 1)),
    text("A3", "trailing_word", VALID + " x"),
    text("A3", "two_documents", VALID + VALID),
    text("A4", "trailing_comma", VALID.replace("4}]", "4,}]")),
    text("A4", "comment", VALID.replace('"layers"', '// the layers\n"layers"')),
    text("A4", "single_quotes", VALID.replace('"', "'")),
    text("A4", "python_constant", VALID.replace("4}]", '4, "use_bias": True}]')),
    text("A4", "hexadecimal", VALID.replace('"units": 4', '"units": 0x4')),
    text("A4", "leading_zero", VALID.replace('"units": 4', '"units": 04')),
    text("A5", "duplicate_key", VALID.replace('"units": 4', '"units": 4,\n "units": 5')),
    text("A6", "duplicate_by_escape", VALID.replace('"units": 4', '"units": 4, "\\u0075nits": 5')),
    *(text("A7", name, VALID.replace('"units": 4', f'"units": {name}')) for name in ("NaN", "Infinity", "-Infinity")),
    *(text("A8", name, VALID.replace('"units": 4', f'"units": {name}')) for name in ("1e999", "-1e999", "1e-999")),
    text("A9", "integer_of_5000_digits", VALID.replace('"units": 4', '"units": 1' + "0" * 4999)),
    text("A9", "integer_of_401_digits", VALID.replace('"units": 4', '"units": 1' + "0" * 400)),
    document("A10", "fraction_of_400_digits", {"type": "Dropout", "rate": 0.5}, DENSE | {"units": 10**300}),
    text("A10", "1E300_units", VALID.replace('"units": 4', '"units": 1E300')),
    text("A10", "rate_of_400_digits", VALID.replace('"Dense", "units": 4', '"Dropout", "rate": 1.1' + "0" * 400)),
    text("A11", "100000_arrays", "[" * 100_000),
    text("A11", "10000_objects", '{"layers": ' * 10_000),
    Case("A12", "file_of_a_gibibyte", _sparse),
    made("A12", "spaces_of_34_megabytes", lambda: " " * 34_000_000),
    made("A12", "array_of_many_objects", lambda: '{"layers": [' + "{}," * 210_000 + "0]}"),
    text("A13", "invalid_byte", b'{"layers": "\xff"}'),
    text("A13", "overlong", b'{"layers": "\xc0\xaf"}'),
    text("A13", "continuation", b'{\n "layers": "\x80"}'),
    text("A14", "byte_order_mark", "\ufeff" + VALID),
    *(text("A14", name, VALID.encode(name)) for name in ("utf-16", "utf-16-le", "utf-32")),
    text("A15", "lone_surrogate", VALID.replace('"x"', '"\\ud800"')),
    text("A15", "surrogate_bytes", VALID.replace('"x"', '"\ud800"')),
    *(
        text("A16", name, VALID.replace('"type"', f'"name": "{characters}", "type"'))
        for name, characters in {
            "nul": "a\\u0000b",
            "control": "a\\u001bb",
            "bidirectional": "a\u202eb",
            "zero_width": "a\u200bb",
            "homoglyph": "\u0430bc",
        }.items()
    ),
    text("A17", "carriage_returns", '{\r"inputs": {},\r\n"layers":\t[x]}'),
    text("A17", "line_separator", '{"name": "\u2028",\n "layers": [x]}'),
    Case("A19", "folder", _folder),
    Case("A19", "fifo", _fifo),
    Case("A19", "device", _nothing, ("validate", "/dev/zero")),
    Case("A19", "memory", _nothing, ("validate", "/proc/self/mem")),
    Case("A19", "absent", _nothing, ("validate", "absent.json")),
    Case("A19", "broken_link", _unlisted_link),
    Case("A19", "name_with_nul", _nothing, ("validate", "a\0b.json")),
    Case("A19", "name_of_5000_characters", _nothing, ("validate", "a" * 5000)),
)

# -- B: meaning ------------------------------------------------------------------------------------------------------

MEANING = (
    text("B1", "null", "null"),
    text("B1", "string", '"spec"'),
    *(document("B5", f"units_{name}", DENSE | {"units": value}) for name, value in
      {"true": True, "1.5": 1.5, "1.0": 1.0, "text": "10", "null": None, "list": [4]}.items()),
    *(document("B6", f"units_{name}", DENSE | {"units": value}) for name, value in
      {"0": 0, "-1": -1, "2^31": 2**31, "2^63": 2**63, "2^64": 2**64}.items()),
    *(document("B7", f"{key}_{value}", {"type": "Conv2D", "filters": 4, "kernel_size": 3, key: value}, shape=(8, 8, 4))
      for key in ("kernel_size", "strides", "dilation_rate", "groups") for value in (0, -1)),
    document("B8", "kernel_of_9", {"type": "Conv2D", "filters": 4, "kernel_size": 9}, shape=(8, 8, 3)),
    document("B9", "groups_of_3", {"type": "Conv2D", "filters": 6, "kernel_size": 3, "groups": 3}, shape=(8, 8, 4)),
    document("B9", "filters_of_5", {"type": "Conv2D", "filters": 5, "kernel_size": 3, "groups": 2}, shape=(8, 8, 4)),
    document("B10", "product", {"type": "Reshape", "target_shape": [3]}),
    document("B10", "two_unknown", {"type": "Reshape", "target_shape": [-1, -1]}),
    document("B10", "unknown_does_not_divide", {"type": "Reshape", "target_shape": [3, -1]}),
    document("B11", "axis", {"type": "Softmax", "axis": 5}),
    document("B11", "duplicate_axes", {"type": "ops.sum", "axis": [1, 1]}, shape=(4, 4)),
    document("B11", "no_permutation", {"type": "Permute", "dims": [1, 1]}, shape=(4, 4)),
    document("B13", "conv_of_a_vector", {"type": "Conv2D", "filters": 4, "kernel_size": 3}),
    document("B15", "name_of_an_input", DENSE | {"name": "x"}),
    document("B15", "differ_by_case", DENSE, DENSE | {"name": "D"}),
    document("B18", "output_is_the_input", DENSE, outputs=["x"]),
    *(document("B19", f"rate_{value}", {"type": "Dropout", "rate": value}) for value in (1.0, -0.1, 2)),
    *(document("B21", f"rate_{value}", DENSE, training={"loss": "mse", "optimizer": ADAM | {"learning_rate": value}})
      for value in (0, -1, 1e308, "0.1")),
    document("B22", "unknown_optimizer", DENSE, training={"loss": "mse", "optimizer": "adan"}),
    document("B22", "betas", DENSE, training={"loss": "mse", "optimizer": ADAM | {"beta_1": 1, "beta_2": 1.5}}),
    *(document("B23", f"{key}_{value}", DENSE, training={"loss": "mse", key: value})
      for key, value in (("batch_size", 0), ("epochs", 0), ("epochs", 10**9))),
    *(document("B27", f"version_{name}", DENSE, version=value)
      for name, value in {"2": 2, "0": 0, "text": "1", "1.5": 1.5}.items()),
    document("B28", "bfloat16", {"type": "Dense", "units": 4, "dtype": "bfloat16"}),
    document("B29", "float64", {"type": "Conv1D", "filters": 4, "kernel_size": 3, "dtype": "float64"}, shape=(8, 4)),
    *(document("B32", f"key_{key.strip('$')}", DENSE | {key: value}) for key, value in
      {"$ref": "file:///etc/passwd", "$id": "http://localhost/x", "__class__": "os.system", "module": "os"}.items()),
    document("B32", "schema_address", DENSE | {"unit": 1}, **{"$schema": "http://127.0.0.1:9/schema.json"}),
    document("B32", "reference_of_a_schema", DENSE, **{"$ref": "#/inputs", "$defs": {}}),
)  # fmt: skip

# -- C: resources ----------------------------------------------------------------------------------------------------


def _laughs() -> str:
    """Ten blocks of which each uses the next ten times: 10^10 layers."""
    blocks: dict[str, Any] = {"b9": {"inputs": ["a"], "layers": [{"type": "ReLU"}]}}
    for depth in range(9):
        uses = [{"type": f"b{depth + 1}"} for _ in range(10)]
        blocks[f"b{depth}"] = {"inputs": ["a"], "layers": uses}
    return json.dumps({"blocks": blocks, "inputs": {"x": {"shape": [4]}}, "layers": [{"type": "b0"}]})


def _chain(count: int) -> str:
    layers = ",".join(['{"type": "ReLU"}'] * count)
    return f'{{"inputs": {{"x": {{"shape": [4]}}}}, "layers": [{layers}]}}'


def _diamonds() -> str:
    layers: list[Any] = [{"type": "ReLU", "name": "r0"}]
    for depth in range(60):
        layers.append({"type": "Add", "name": f"r{depth + 1}", "from": [f"r{depth}", f"r{depth}"]})
    return json.dumps({"inputs": {"x": {"shape": [4]}}, "layers": layers})


def _names() -> str:
    layers = [{"type": "ReLU", "name": "a" * 1_000_000}]
    return json.dumps({"inputs": {"x": {"shape": [4]}}, "layers": layers})


WRAPPER = '{"type": "TimeDistributed", "layer": '

RESOURCES = (
    document("C1", "weights_of_4_terabytes", DENSE | {"units": 10**6}, shape=(10**6,)),
    document("C2", "layers_below_the_limit", *[{"type": "Dense", "units": 200_000}] * 10, shape=(200_000,)),
    document("C3", "repeated_vector", {"type": "RepeatVector", "n": 10**9}),
    document("C3", "upsampling", *[{"type": "UpSampling2D", "size": 1000}] * 4, shape=(8, 8, 3)),
    document("C3", "tile", {"type": "ops.tile", "repeats": 2**31 - 1}),
    made("C4", "chain_of_10001_layers", lambda: _chain(10_001)),
    made("C4", "chain_of_50000_layers", lambda: _chain(50_000)),
    made("C5", "diamonds", _diamonds),
    document("C6", "unrolled_recurrence", {"type": "LSTM", "units": 4, "unroll": True}, shape=(10**7, 4)),
    document("C7", "product_beyond_int64", {"type": "Flatten"}, shape=(2**31 - 1, 2**31 - 1, 2**31 - 1)),
    made("C8", "constant_of_100000_numbers",
         lambda: json.dumps({"inputs": {"x": {"shape": [4]}}, "layers": [{"type": "ops.add", "x2": [1.5] * 100_000}]})),
    document("C8", "table_of_petabytes", {"type": "Attention", "use_causal_mask": True}, shape=(10**8, 1)),
    made("C9", "name_of_a_million_characters", _names),
    document("C9", "name_of_129_characters", DENSE | {"name": "a" * 129}),
    made("C10", "billion_laughs", _laughs),
    document("C10", "repeat", DENSE | {"repeat": 10**9}),
    document("C10", "long_expression", DENSE | {"units": "${" + "1+" * 600 + "1}"}),
    document("C10", "power", DENSE | {"units": "${9**9**9**9}"}),
    document("C10", "range", DENSE | {"units": "${sum(range(1000000000))}"}),
    document("C11", "nested_layers", json.loads(WRAPPER * 28 + '{"type": "ReLU"}' + "}" * 28)),
    text("C11", "too_many_nested_layers", '{"layers": [' + WRAPPER * 60 + "0"),
    document("C13", "sample_of_2_gigabytes", {"type": "ops.tile", "repeats": [1, 16]}, shape=(2**26, 8)),
)  # fmt: skip

# -- D: paths --------------------------------------------------------------------------------------------------------


def _with(case: Case, prepare: Callable[[], None]) -> Case:
    def write() -> None:
        case.write()
        prepare()

    return case._replace(write=write)


def _link(target: str, name: str) -> Callable[[], None]:
    return lambda: os.symlink(target, name)


def _linked_folder() -> None:
    os.mkdir("real")
    bytes_to("real/a.csv", b"x,y\n1,2\n")
    os.symlink("real", "linked")


def _hard_link() -> None:
    bytes_to("other.csv", b"x,y\n1,2\n")
    os.link("other.csv", "a.csv")


PATHS = (
    *(trained("D1", name, train=path) for name, path in {
        "parent": "../../etc/passwd.csv", "absolute": "/etc/passwd.csv", "home": "~/a.csv", "variable": "$HOME/a.csv",
        "percent": "%2e%2e/%2e%2e/a.csv", "inner_parent": "a/../../b.csv", "backslash": "..\\..\\a.csv",
        "address": "http://127.0.0.1:9/a.csv", "file_address": "file:///etc/passwd.csv"}.items()),
    trained("D1", "files_by_name", train={"x": "../a.npy", "y": ["b.npy", "/etc/passwd.npy"]}),
    _with(trained("D2", "link_out", train="a.csv"), _link("/etc/passwd", "a.csv")),
    _with(trained("D2", "link_to_itself", train="a.csv"), _link("a.csv", "a.csv")),
    _with(trained("D2", "linked_folder", train="linked/a.csv"), _linked_folder),
    _with(trained("D3", "hard_link", train="a.csv"), _hard_link),
    *(trained("D5", name, train=path) for name, path in {
        "nul": "a\0b.csv", "newline": "a\nb.csv", "long": "a" * 5000 + ".csv", "device_name": "CON.csv",
        "trailing_dot": "a.csv.", "bidirectional": "a\u202evsc.exe"}.items()),
    _with(trained("D6", "folder", train="a.csv"), lambda: os.mkdir("a.csv")),
    _with(trained("D6", "fifo", train="a.csv"), lambda: os.mkfifo("a.csv")),
    trained("D6", "empty_name", train=""),
    trained("D6", "no_files_by_name", train={}),
    trained("D6", "names_of_files", train={"": "a.npy", "x\0": "b.npy", "*": ["c.npy"], "x": {"x": "d.npy"}}),
    trained("D6", "dot", train="."),
    Case("D7", "output_is_the_input", lambda: bytes_to(SPEC, VALID.encode()), ("compile", SPEC, "-o", SPEC)),
    Case("D7", "output_is_a_folder", lambda: (bytes_to(SPEC, VALID.encode()), os.mkdir("out.onnx"))[0],
         ("compile", SPEC, "-o", "out.onnx")),
    Case("D7", "output_below_a_file", lambda: bytes_to(SPEC, VALID.encode()),
         ("compile", SPEC, "-o", f"{SPEC}/model.onnx")),
    document("D8", "layer_named_as_a_path", DENSE | {"name": "../../etc/passwd"}),
    document("D8", "layer_named_as_a_hidden_file", DENSE | {"name": ".bashrc"}),
)  # fmt: skip

CASES = (*JSON_TEXT, *MEANING, *RESOURCES, *PATHS)
