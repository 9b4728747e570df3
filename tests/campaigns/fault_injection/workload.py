"""A training run, its undisturbed result, and the checks that hold after every fault."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from campaigns.fault_injection.specs import CASES, EPOCHS
from jsonnx.core.files.digests import file_sha256
from jsonnx.core.files.files import TEMPORARY_NAME
from jsonnx.pipeline.run_folder.checkpoint_manifest import read_manifest
from jsonnx.runtime.fit import checkpoint

SOURCE = Path(__file__).parents[3] / "compiler"
PROGRAM = """
import sys
from jsonnx.pipeline.run import checkpoint_schedule
checkpoint_schedule.EPOCH_CHECKPOINT_SECONDS, checkpoint_schedule.STEP_CHECKPOINT_SECONDS = 0.0, float(sys.argv[1])
from jsonnx.cli import main
main(sys.argv[2:], prog_name="jsonnx")
"""
"""`jsonnx` with frequent checkpoints: after every epoch, and within an epoch after this number of seconds."""


def environment() -> dict[str, str]:
    """The environment variables of a command."""
    return {**os.environ, "PYTHONPATH": str(SOURCE)}


def reset_signals() -> None:
    """Makes a process react to Ctrl-C, which it would ignore if it was started in the background of a shell."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Violation(Exception):
    """A run did not keep a promise."""


@dataclass(frozen=True)
class Result:
    """The exit status and the output of a command."""

    status: int
    output: str


@dataclass(frozen=True)
class Workload:
    """A folder with a spec, its data, and the run `whole`, which was not disturbed."""

    home: Path
    epochs: int = EPOCHS
    step_seconds: float = 60.0
    """Minimum time between checkpoints within an epoch."""

    seconds: float = 0.0
    """The duration of the undisturbed run."""

    @staticmethod
    def create(
        home: Path,
        train: Callable[[Workload, str], Result] | None = None,
        case: str = "images",
        *,
        epochs: int = EPOCHS,
        step_seconds: float = 60.0,
    ) -> Workload:
        """Writes the files of a case, and runs the undisturbed run with `train`, or in a process of its own."""
        home.mkdir(parents=True)
        CASES[case].write_data(home)
        (home / "spec.json").write_text(json.dumps(CASES[case].spec))
        workload, start = Workload(home.resolve(), epochs, step_seconds), time.monotonic()
        result = (train or Workload.train)(workload, "whole")
        if result.status:
            raise SystemExit(f"the undisturbed run failed: {result.output}")
        return replace(workload, seconds=time.monotonic() - start)

    def command(self, run: str, *options: str) -> list[str]:
        """The command that starts a run, or resumes it, in a process of its own."""
        epochs = f"training.epochs={self.epochs}"
        arguments = ["train", str(self.home / "spec.json"), "-o", str(self.home / run), "--resume", "--set", epochs]
        return [sys.executable, "-c", PROGRAM, str(self.step_seconds), *arguments, *options]

    def start(self, run: str, *options: str, **more: Any) -> subprocess.Popen[str]:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "preexec_fn": reset_signals}
        return subprocess.Popen(self.command(run, *options), **{**streams, "env": environment(), **more})

    def train(self, run: str, *options: str, **more: Any) -> Result:
        process = self.start(run, *options, **more)
        output, _ = process.communicate(timeout=300)
        return Result(process.returncode, output or "")

    # -- checks --------------------------------------------------------------------------------------------------------

    def check_consistent(self, run: str) -> None:
        """Raises Violation if a file of an interrupted run is incomplete, apart from files with a temporary name."""
        folder = self.home / run
        for path in folder.rglob("*"):
            if not path.is_file() or path.match(TEMPORARY_NAME.format("*")):
                continue
            try:
                if path.name == "SHA256SUMS":
                    read_manifest(path)
                elif path.parent.name == "checkpoints":
                    checkpoint.load(str(path))
                elif path.suffix == ".json":
                    json.loads(path.read_text())
                elif path.name in ("model.onnx", "weights.safetensors") and not path.stat().st_size:
                    raise ValueError("it is empty")
            except Exception as error:
                raise Violation(f"{path.name} is incomplete: {error}") from error

    def check_error(self, run: str, result: Result, codes: tuple[str, ...] = ("unwritable-file",)) -> None:
        """Raises Violation unless a command failed with one of these codes, named a file of the run, and left neither
        temporary files nor a run without its first files."""
        folder = self.home / run
        text = result.output.replace("\n", " ")
        if result.status not in (1, 2) or not any(f"error[{code}]" in text for code in codes) or run not in text:
            raise Violation(f"exit status {result.status}, expected an error {codes}: {result.output[-400:]}")
        if left_over := [path.name for path in folder.rglob(TEMPORARY_NAME.format("*"))]:
            raise Violation(f"temporary files were left: {left_over}")
        has_started = (folder / "run.json").exists() or "run-locked" in codes  # then the folder is another process'
        if folder.exists() and not has_started and any(folder.iterdir()):
            raise Violation(f"a run that failed to start left {sorted(path.name for path in folder.iterdir())}")
        self.check_consistent(run)

    def check_whole(self, run: str) -> None:
        """Raises Violation unless a completed run equals the undisturbed one in every byte but the times."""
        expected, found = self.final_files("whole"), self.final_files(run)
        if different := [name for name in expected if found.get(name) != expected[name]]:
            raise Violation(f"these files differ from those of the undisturbed run: {different}")
        if unknown := [name for name in found.keys() - expected.keys() if not name.startswith("checkpoints/")]:
            raise Violation(f"the run has other files: {unknown}")
        folder = self.home / run / "checkpoints"
        digests = {path.name: file_sha256(path) for path in folder.glob("*.safetensors")}
        if read_manifest(folder / "SHA256SUMS") != digests:
            raise Violation(f"the manifest has {read_manifest(folder / 'SHA256SUMS')}, the files are {digests}")

    def final_files(self, run: str) -> dict[str, bytes]:
        """The contents of a run's files. Of the numbered checkpoints, the last one counts: older ones depend on the
        time, and so does their manifest."""
        folder = self.home / run
        paths = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
        older = sorted(name for name in paths if name.startswith("checkpoints/step-"))[:-1]
        excluded = {"execution.json", "checkpoints/SHA256SUMS", *older}
        return {name: path.read_bytes() for name, path in paths.items() if name not in excluded}
