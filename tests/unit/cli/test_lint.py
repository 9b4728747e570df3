"""`jsonnx lint`: exit status, formats, options, configuration files, silences and data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonnx
import pytest
from click.testing import Result
from jsonnx.cli import main
from support.commands import IN_PROCESS, SOURCE

ENTRIES: dict[str, Any] = {
    "inputs": {"x": {"shape": [4]}},
    "layers": [
        {"type": "Dropout", "name": "noise", "rate": 0.9},
        {"type": "Dense", "name": "hidden", "units": 8},
        {"type": "Dense", "name": "y", "units": 1, "activation": "sigmoid"},
    ],
}


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str = "net.json", **keys: Any) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(json.dumps({**ENTRIES, **keys}, indent=1), encoding="utf-8")
    return name


def run(*arguments: str) -> Result:
    return IN_PROCESS.invoke(main, arguments)


def found(*arguments: str) -> list[str]:
    """The codes of the diagnostics that the command prints as JSON."""
    result = run("lint", *arguments, "--format", "json")
    value = json.loads(result.stdout)
    return [item["code"] for item in (value if isinstance(value, list) else value["diagnostics"])]


def test_findings_have_positions_and_exit_status_1() -> None:
    result = run("lint", write())
    assert result.exit_code == 1
    assert "warning[dropout-rate]: 'noise' drops 90 % of the values" in result.stderr
    assert "net.json:13:12" in result.stderr
    assert "2 warnings in 1 file" in result.stderr
    assert run("lint", "net.json", "--exit-zero").exit_code == 0
    assert run("validate", "net.json").exit_code == 0
    assert run("validate", "--lint", "net.json").exit_code == 1


def test_errors_come_before_rules_and_are_not_forgiven() -> None:
    spec = write(outputs=["z"])
    assert found(spec) == ["unknown-name"]
    assert run("lint", spec, "--exit-zero").exit_code == 1
    assert run("lint", "absent.json").exit_code == 2
    assert run("lint").exit_code == 2


def test_a_spec_without_findings_is_fine() -> None:
    spec = write(layers=[{"type": "Dense", "units": 1}])
    result = run("lint", spec)
    assert (result.exit_code, result.stdout) == (0, "1 file is fine\n")


def test_options_select_rules() -> None:
    spec = write()
    assert found(spec) == ["dropout-rate", "no-activation"]
    assert found(spec, "--ignore", "no-activation,momentum") == ["dropout-rate"]
    assert found(spec, "--select", "no-activation") == ["no-activation"]
    assert "relu-output" not in found(spec, "--extend-select", "relu-output")
    assert found(spec, "--ignore", "all") == []
    error = run("lint", spec, "--select", "dropout-rat")
    assert error.exit_code == 2
    assert "did you mean 'dropout-rate'?" in error.stderr


def test_the_nearest_configuration_counts(work_folder: Path) -> None:
    write("a/net.json")
    write("a/b/net.json")
    write("a/b/test/net_test.json")
    Path("a/pyproject.toml").write_text('[tool.jsonnx.lint]\nignore = ["no-activation"]\n')
    Path("a/b/pyproject.toml").write_text('[project]\nname = "other"\n')
    Path("a/b/test/jsonnx.toml").write_text(
        '[lint]\nselect = ["no-activation", "dropout-rate"]\n'
        '[lint.per-file-ignores]\n"*_test.json" = ["dropout-rate"]\n'
    )
    assert found("a/net.json") == ["dropout-rate"]
    assert found("a/b/net.json") == ["dropout-rate"]
    assert found("a/b/test/net_test.json") == ["no-activation"]
    assert found("a/net.json", "--isolated") == ["dropout-rate", "no-activation"]
    assert found("a/net.json", "--select", "no-activation") == ["no-activation"]
    assert found("a/net.json", "--config", "a/b/test/jsonnx.toml") == ["dropout-rate", "no-activation"]
    assert run("validate", "--lint", "a/net.json").stderr.count("warning[") == 1


def test_per_file_patterns_are_relative_to_the_configuration() -> None:
    write("specs/old/net.json")
    Path("jsonnx.toml").write_text('[lint.per-file-ignores]\n"specs/old/*" = ["all"]\n')
    assert found("specs/old/net.json") == []


@pytest.mark.parametrize(
    ("text", "message", "help"),
    [
        ('[lint]\nignores = ["momentum"]', "lint has no key 'ignores'", "did you mean 'ignore'?"),
        ('[lint]\nignore = "momentum"', "lint.ignore must be a list of codes", "--list-rules"),
        ('[lint]\nignore = ["momentun"]', "names the rule 'momentun'", "did you mean 'momentum'?"),
        ("[lint]\nper-file-ignores = 3", "lint.per-file-ignores must be a table of lists", "--list-rules"),
        ('[lint.per-file-ignores]\n"*" = ["x"]', "names the rule 'x'", "--list-rules"),
        ("lint = 3", "lint must be a table", "select"),
        ("[linter]", "the file has no key 'linter'", "known keys: lint"),
        ("[lint", "cannot be read as TOML", "--isolated"),
    ],
)
def test_an_invalid_configuration_is_an_error(text: str, message: str, help: str) -> None:
    Path("jsonnx.toml").write_text(text)
    result = run("lint", write())
    assert result.exit_code == 2
    assert "jsonnx.toml" in result.stderr
    assert message in result.stderr
    assert help in result.stderr
    assert run("validate", "net.json").exit_code == 0  # does not read it


def test_a_spec_silences_findings_and_warnings() -> None:
    silences = [{"code": "dropout-rate", "layers": ["noi*"], "reason": "a test"}, "no-activation"]
    assert found(write(lint={"ignore": silences})) == []
    elsewhere = [{"code": "dropout-rate", "layers": ["hidden"]}, "no-activation"]
    assert found(write(lint={"ignore": elsewhere})) == ["dropout-rate", "unused-silence"]
    training = {"loss": "mse", "metrics": ["accuracy"]}
    spec = write(layers=[{"type": "Dense", "units": 1}], training=training)
    assert "regression-accuracy" in run("validate", spec).stderr
    write(layers=[{"type": "Dense", "units": 1}], training=training, lint={"ignore": ["regression-accuracy"]})
    assert run("validate", spec).stderr == ""
    assert found(spec) == []


def test_a_block_is_silenced_by_the_names_of_its_layers() -> None:
    blocks = {"part": {"layers": [{"type": "Dropout", "name": "drop", "rate": 0.9}]}}
    layers = [{"type": "part", "name": "a"}, {"type": "part", "name": "b"}, {"type": "Dense", "units": 1}]
    spec = write(blocks=blocks, layers=layers)
    assert found(spec) == ["dropout-rate"]
    write(blocks=blocks, layers=layers, lint={"ignore": [{"code": "dropout-rate", "layers": ["a_drop"]}]})
    assert found(spec) == ["dropout-rate"]
    write(blocks=blocks, layers=layers, lint={"ignore": [{"code": "dropout-rate", "layers": ["*_drop"]}]})
    assert found(spec) == []


def test_a_silence_that_a_scale_needs_is_used() -> None:
    spec = write(
        parameters={"rate": 0.1},
        scales={"large": {"rate": 0.9}},
        layers=[{"type": "Dropout", "rate": "${rate}"}, {"type": "Dense", "units": 1}],
    )
    assert found(spec) == ["dropout-rate"]
    document = json.loads(Path(spec).read_text())
    Path(spec).write_text(json.dumps({**document, "lint": {"ignore": ["dropout-rate"]}}))
    assert found(spec) == []
    assert found(spec, "--scale", "large") == []


def test_findings_in_the_library_are_not_reported_but_those_of_its_arguments_are() -> None:
    layers = [
        {"type": "std.Bottleneck", "name": "block", "filters": 4, "from": "image"},
        {"type": "GlobalAveragePooling2D"},
        {"type": "Dense", "units": 1},
    ]
    assert found(write(inputs={"image": {"shape": [8, 8, 16]}}, layers=layers)) == []
    encoder = {
        "type": "std.TransformerEncoder",
        "name": "block",
        "hidden_dim": 16,
        "num_heads": 2,
        "intermediate_dim": 16,
    }
    layers = [encoder | {"dropout": 0.95}, {"type": "GlobalAveragePooling1D"}, {"type": "Dense", "units": 1}]
    assert "dropout-rate" in found(write(inputs={"tokens": {"shape": [8, 16]}}, layers=layers))


def test_rules_read_the_data_on_request() -> None:
    rows = [f"{1900 + row},1,2,3,{int(row % 25 == 0)}" for row in range(100)]
    Path("rows.csv").write_text("\n".join(["a,b,c,d,y", *rows]) + "\n")
    training = {
        "data": {"train": "rows.csv", "x": ["a", "b", "c", "d"], "y": "y"},
        "loss": "binary_crossentropy",
        "metrics": ["accuracy"],
        "batch_size": 500,
    }
    spec = write(layers=[{"type": "Dense", "name": "y", "units": 1, "activation": "sigmoid"}], training=training)
    assert found(spec) == []
    codes = ("unscaled-input", "batch-exceeds-data", "class-imbalance")
    assert {*codes} <= set(found(spec, "--data"))
    document = json.loads(Path(spec).read_text())
    ignore = [
        {"code": code, "reason": "a test"} for code in ("unscaled-input", "batch-exceeds-data", "class-imbalance")
    ]
    Path(spec).write_text(json.dumps({**document, "lint": {"ignore": ignore}}))
    assert found(spec, "--data") == []
    assert "batch-exceeds-data" not in found(spec)  # nor is the silence unused: the rule has not run


def test_rules_are_listed() -> None:
    text = run("lint", "--list-rules").stdout
    assert "  relu-output                   off" in text
    rules = json.loads(run("lint", "--list-rules", "--format", "json").stdout)
    assert len(rules) >= 30
    assert {"code": "dropout-rate", "group": "normalization", "default": True}.items() <= rules[
        next(index for index, rule in enumerate(rules) if rule["code"] == "dropout-rate")
    ].items()


def test_the_command_imports_neither_numpy_nor_onnx() -> None:
    write()
    script = """
import sys
try:
    from jsonnx.cli import main
    main(["lint", "net.json"])
except SystemExit as exit:
    assert exit.code == 1, exit.code
print({"numpy", "onnx", "onnxruntime"} & set(sys.modules))
"""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    result = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, encoding="utf-8")
    assert result.stdout.strip() == "set()", result.stderr


def test_safe_fixes_are_applied_and_shown() -> None:
    layers = [
        {"type": "Flatten"},
        {"type": "Dense", "units": 8},
        {"type": "BatchNormalization"},
        {"type": "ReLU"},
        {"type": "ReLU"},
        {"type": "Dense", "units": 1},
    ]
    spec = write(layers=layers, lint={"ignore": ["momentum"]})
    before = Path(spec).read_text()
    shown = run("lint", spec, "--diff")
    assert shown.exit_code == 1
    assert shown.stdout.count("\n-  {") == 2
    assert Path(spec).read_text() == before
    assert run("lint", spec, "--fix").exit_code == 1  # a bias before the normalization remains
    fixed = json.loads(Path(spec).read_text())
    assert fixed["layers"] == [layers[1], layers[2], layers[3], layers[5]]
    assert fixed["lint"] == {"ignore": []}
    assert run("lint", spec, "--fix", "--unsafe-fixes").exit_code == 0
    assert json.loads(Path(spec).read_text())["layers"][0] == {"type": "Dense", "units": 8, "use_bias": False}


def test_findings_are_diagnostics_in_python() -> None:
    assert jsonnx.validate(write()) == []
    assert [item.code for item in jsonnx.validate("net.json", lint=True)] == ["dropout-rate", "no-activation"]
    assert {item.code for item in jsonnx.validate(ENTRIES, lint=True)} == {"dropout-rate", "no-activation"}


@pytest.mark.parametrize("format_", ["github", "sarif", "junit"])
def test_all_formats_carry_findings(format_: str) -> None:
    result = run("lint", write(), "--format", format_)
    assert result.exit_code == 1
    assert "dropout-rate" in result.stdout
