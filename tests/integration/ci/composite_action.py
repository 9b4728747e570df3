"""Runs the steps of a composite GitHub Action as GitHub does: by bash, with the environment and files of a runner."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

EXPRESSION = re.compile(r"\$\{\{\s*([\w.-]+)\s*\}\}")
CONDITION = re.compile(r"inputs\.([\w-]+) (==|!=) '(\w*)'")


class StepResult(NamedTuple):
    name: str
    status: int
    output: str


class Run:
    """The steps of an action in a work tree; a step with `uses` is recorded with its inputs and not run."""

    def __init__(self, action: dict[str, Any], work_tree: Path, temp: Path, action_path: Path, **inputs: str) -> None:
        defaults = {name: str(entry.get("default", "")) for name, entry in action["inputs"].items()}
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        assert given.keys() <= defaults.keys(), given.keys() - defaults.keys()
        self.action, self.work_tree, self.temp = action, work_tree, temp
        self.context = {
            "github.action_path": str(action_path),
            "github.action_repository": "owner/jsonnx",
            "github.action_ref": "v1",
            "github.token": "the-token",
            "github.event.pull_request.number": "7",
        }
        for name, value in (defaults | given).items():
            self.context[f"inputs.{name}"] = self.evaluated(value)
        self.summary = temp / "summary.md"
        self.results: list[StepResult] = []
        self.uses: list[tuple[str, dict[str, str]]] = []

    def evaluated(self, text: str) -> str:
        """The text with the values of its expressions; one that GitHub would not know raises KeyError."""
        return EXPRESSION.sub(lambda match: self._value(match[1]), text)

    def _value(self, name: str) -> str:
        """The value of a name: empty for an output of a step that did not run or did not write it."""
        step = re.fullmatch(r"steps\.(\w+)\.outputs\.\w+", name)
        if step is not None and any(step[1] == entry.get("id") for entry in self.action["runs"]["steps"]):
            return self.context.get(name, "")
        return self.context[name]

    def run(self, first: int = 0) -> Run:
        """Runs the steps until one fails."""
        for step in self.action["runs"]["steps"][first:]:
            if not self._is_selected(step):
                continue
            if "uses" in step:
                inputs = {key: self.evaluated(value) for key, value in step["with"].items()}
                self.uses.append((step["uses"], inputs))
            elif self._run_step(step).status:
                break
        return self

    def _is_selected(self, step: dict[str, Any]) -> bool:
        if "if" not in step:
            return True
        match = CONDITION.fullmatch(step["if"])
        assert match is not None, step["if"]
        return (self.context[f"inputs.{match[1]}"] == match[3]) is (match[2] == "==")

    def _run_step(self, step: dict[str, Any]) -> StepResult:
        assert step["shell"] == "bash"
        script, outputs = self.temp / "script.sh", self.temp / "outputs"
        script.write_text(step["run"])
        outputs.write_text("")
        environment = {
            **os.environ,
            **{key: self.evaluated(value) for key, value in step.get("env", {}).items()},
            "GITHUB_ACTIONS": "true",
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_REPOSITORY": "owner/models",
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "RUNNER_TEMP": str(self.temp),
        }
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
        done = subprocess.run(command, cwd=self.work_tree, env=environment, capture_output=True, text=True, check=False)
        for line in outputs.read_text().splitlines():
            name, _, value = line.partition("=")
            self.context[f"steps.{step.get('id')}.outputs.{name}"] = value
        self.results.append(StepResult(step.get("id", "result"), done.returncode, done.stdout + done.stderr))
        return self.results[-1]

    def outputs(self) -> dict[str, str]:
        """The outputs of the action; empty for those of steps that did not run."""
        values = {name: EXPRESSION.fullmatch(entry["value"])[1] for name, entry in self.action["outputs"].items()}  # type: ignore[index]
        return {name: self.context.get(value, "") for name, value in values.items()}

    @property
    def status(self) -> int:
        return self.results[-1].status

    def output_of(self, name: str) -> str:
        return next(result.output for result in self.results if result.name == name)
