"""The records of the options of training: what the command line, Python and the files of a run make of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from inspect import signature
from pathlib import Path
from textwrap import dedent, indent

import jsonnx
import pytest
from jsonnx.cli import main
from jsonnx.cli.options import ALL_FOLDS, options_of, training_option
from jsonnx.core.training_options import TRAINING_OPTIONS, TrainingOption, TrainingOptions, recorded_options
from jsonnx.render.schemas.run_schema import EXECUTION_JSON, RUN_JSON

ROOT = Path(__file__).parents[3]
SPEC = {
    "inputs": {"x": {"shape": [2]}},
    "layers": [{"type": "Dense", "units": 1, "name": "y"}],
    "training": {"loss": "mse", "epochs": 1, "data": {"train": "data.csv", "x": ["a", "b"], "y": "y"}},
}

each_option = pytest.mark.parametrize("option", TRAINING_OPTIONS.values(), ids=TRAINING_OPTIONS)


@each_option
def test_an_argument_is_one_of_the_trainer_with_the_same_default(option: TrainingOption) -> None:
    parameters = signature(jsonnx.Trainer).parameters
    argument = option.record.argument
    assert argument is None or parameters[argument].default == option.default


def test_each_argument_of_the_trainer_is_an_option_unless_only_python_has_it() -> None:
    arguments = {option.record.argument for option in TRAINING_OPTIONS.values()} - {None}
    assert arguments == signature(jsonnx.Trainer).parameters.keys() - {"spec", "fast", "collective", "loss", "metrics"}


def test_the_command_has_the_options_in_the_order_of_their_records() -> None:
    names = [parameter.name for parameter in main.commands["train"].params]
    of_cluster = ["distributed", "workers", "address", "cpus_per_worker"]
    assert names == ["spec", *(option.parameter for option in TRAINING_OPTIONS.values()), *of_cluster, "all", "color"]


def test_options_are_their_defaults_unless_arguments_are_given() -> None:
    def parsed(*arguments: str) -> TrainingOptions:
        with main.commands["train"].make_context("train", ["spec.json", *arguments]) as context:
            return options_of(context.params)

    assert parsed() == TrainingOptions()
    assert parsed("--unverified", "--exact") == TrainingOptions(verify=False, exact=True)
    assert parsed("--provider-option", "a=1", "--provider-option", "b=x").provider_options == {"a": "1", "b": "x"}
    assert parsed("--fold", "all").fold == ALL_FOLDS
    assert parsed("--set", "a=1", "--set", "b=2").changes == ("a=1", "b=2")


def test_the_changed_options_of_a_trial_are_json() -> None:
    options = TrainingOptions(seed=3, changes=("a=1",), provider_options={"device_id": "1"}, verify=False)
    changed = json.loads(json.dumps(options.changed()))
    assert changed == {"seed": 3, "changes": ["a=1"], "provider_options": {"device_id": "1"}, "verify": False}
    assert TrainingOptions.of_changed(changed) == options


def test_a_help_may_differ_between_commands() -> None:
    @training_option("seed", help="Another one.")
    def command(seed: int | None) -> None: ...

    (option,) = command.__click_params__  # type: ignore[attr-defined]
    assert (option.opts, option.help) == (["--seed"], "Another one.")


def test_the_schemas_of_a_run_have_all_recorded_options() -> None:
    for option, run_key in recorded_options():
        schema = EXECUTION_JSON if run_key.is_environment else RUN_JSON
        assert schema["properties"][run_key.name]["description"] == run_key.description
        assert (run_key.name in schema["required"]) == run_key.is_in_every_run, option.name


# -- the example for contributors --------------------------------------------------------------------------------------


def test_the_example_for_contributors_is_an_option(tmp_path: Path) -> None:
    """In a copy of the package that has the record and the code of CONTRIBUTING.md."""
    section = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("\n## Add an option of training\n")[2]
    record, action = (dedent(block) for block in re.findall(r"^ *```python\n(.*?)^ *```$", section, re.S | re.M)[:2])
    package = tmp_path / "jsonnx"
    shutil.copytree(ROOT / "compiler/jsonnx", package, ignore=shutil.ignore_patterns("__pycache__"))
    insert(package / "core/training_options.py", record, before="    def trainer_arguments(")
    insert(package / "pipeline/run/training_run.py", action, before="    run_folder = RunFolder(folder")
    Path(tmp_path, "spec.json").write_text(json.dumps(SPEC))
    Path(tmp_path, "data.csv").write_text("a,b,y\n1,2,3\n4,5,6\n")

    shown = " ".join(run(tmp_path, "train", "--help").split())
    assert "--delay N Wait this number of seconds before the training starts. [default: 0; 0<=x<=3600]" in shown
    assert "is not in the range" in run(tmp_path, "train", "spec.json", "--delay", "3601", status=2)
    run(tmp_path, "train", "spec.json", "-o", "run", "--delay", "2")
    assert json.loads(Path(tmp_path, "run/run.json").read_text())["delay"] == 2
    assert json.loads(Path(tmp_path, "run/execution.json").read_text())["seconds"] >= 2
    run(tmp_path, "lock", "run")
    run(tmp_path, "train", "spec.json", "-o", "again", "--locked")
    assert json.loads(Path(tmp_path, "again/run.json").read_text())["delay"] == 2
    run(tmp_path, "train", "spec.json", "-o", "other")
    assert "delay changes from 2 to 0" in run(tmp_path, "compare", "run", "other")


def insert(file: Path, code: str, before: str) -> None:
    """Inserts code with an indentation of four before a line."""
    text = file.read_text("utf-8")
    assert text.count(before) == 1
    file.write_text(text.replace(before, f"{indent(code, '    ')}\n{before}"), encoding="utf-8")


def run(folder: Path, *arguments: str, status: int = 0) -> str:
    """The output of a command of the package in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "jsonnx", *arguments]
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert process.returncode == status, process.stderr
    return process.stdout + process.stderr
