"""Completion in shells, and the examples in the help of every command."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from jsonnx.cli import main
from jsonnx.cli.examples import EXAMPLES
from support.commands import jsonnx, process


def completions(*arguments: str, incomplete: str = "") -> list[str]:
    """What a shell proposes; `FILE` if it completes file names."""
    items = ShellComplete(main, {}, "jsonnx", "_JSONNX_COMPLETE").get_completions(list(arguments), incomplete)
    return ["FILE" if item.type == "file" else item.value for item in items]


@pytest.fixture
def spec(tmp_path: Path) -> str:
    document = {"parameters": {"width": 8, "depth": 2}, "scales": {"small": {"width": 4}, "large": {"width": 16}}}
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(document))
    return str(path)


def test_providers_layers_and_codes_are_completed() -> None:
    assert completions("train", "spec.json", "--provider", incomplete="cu") == ["cuda"]
    assert completions("layers", incomplete="Conv2D") == ["Conv2D", "Conv2DTranspose"]
    assert "optimizers" in completions("layers", incomplete="opt")
    assert completions("explain", incomplete="unknown-k") == ["unknown-key"]
    assert completions("layers", "--search") == []


@pytest.mark.parametrize("command", ["validate", "summary", "compile", "train"])
def test_scales_and_parameters_of_the_spec_are_completed(command: str, spec: str) -> None:
    assert completions(command, spec, "--scale") == ["small", "large"]
    assert completions(command, spec, "--scale", incomplete="l") == ["large"]
    assert completions(command, spec, "--set", incomplete="w") == ["width="]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"scales": 1}', "[" * 100_000])
def test_a_spec_that_cannot_be_read_completes_to_nothing(text: str, tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text(text)
    assert completions("train", str(path), "--scale") == []
    assert completions("train", str(tmp_path / "missing.json"), "--scale") == []


def test_files_are_completed_wherever_a_command_takes_one() -> None:
    for arguments in (["train"], ["train", "-o"], ["predict", "run", "--data"], ["inspect"], ["diff", "a.json"]):
        assert completions(*arguments, incomplete="x") == ["FILE"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_a_shell_gets_its_script(shell: str) -> None:
    result = process(env={"_JSONNX_COMPLETE": f"{shell}_source"})
    assert result.returncode == 0
    assert f"_JSONNX_COMPLETE={shell}_complete" in result.stdout


# -- help --------------------------------------------------------------------------------------------------------------


def test_every_command_has_examples() -> None:
    assert set(EXAMPLES) == {"jsonnx", *main.commands}


@pytest.mark.parametrize("name", [*main.commands, ""])
def test_the_help_shows_the_examples_unwrapped(name: str) -> None:
    text = jsonnx(*[name] * bool(name), "--help").stdout
    assert all(f"\n    {line}\n" in text for line in EXAMPLES[name or "jsonnx"])


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_an_example_is_a_command_line_that_parses(line: str) -> None:
    _, name, *arguments = line.split()
    command = main.commands[name]
    with click.Context(command) as context:
        command.parse_args(context, arguments)  # raises click.UsageError


def test_a_wrong_option_would_not_parse() -> None:
    with click.Context(main.commands["train"]) as context, pytest.raises(click.UsageError):
        main.commands["train"].parse_args(context, ["spec.json", "--absent"])
