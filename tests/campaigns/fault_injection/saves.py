"""Makes each system call of a save fail, with every error that it may have, and kills the process before and after it.

`python -m campaigns.fault_injection.saves FOLDER [STRIDE [FIRST]]`, started with `system_calls.c` preloaded, does so
for each STRIDE-th call, and prints the outcomes as JSON. A save writes a checkpoint, the one of the best epoch, losses,
metrics, weights, a model of two files and `run.json` of a run that has two checkpoints. After each fault, all
files must be the old or the new ones, the newest checkpoint must not be older than before, the model must have its
weights, and the same save must then succeed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from campaigns.fault_injection.scenarios import ERRORS
from campaigns.fault_injection.server import NO_HEARTBEAT_SECONDS, Fault, inject
from jsonnx import Trainer
from jsonnx.backend import ModelWriter, external_data
from jsonnx.core.diagnostics import UsageError
from jsonnx.core.files.files import TEMPORARY_NAME
from jsonnx.core.files.run_layout import LABELS_FILE
from jsonnx.pipeline.run_folder import run_lock
from jsonnx.pipeline.run_folder.run_folder import RunFolder

SAVED, REFUSED, BROKEN = 0, 10, 20
"""The exit statuses of a process that saves: it has saved, it has reported an error, it has ended otherwise."""

SPEC: dict[str, Any] = {
    "inputs": {"x": {"shape": [4]}},
    "layers": [{"type": "Dense", "name": "y", "units": 2}],
    "training": {"loss": "mse", "optimizer": "adam", "batch_size": 8, "restore_best_weights": True},
}
METRICS = {"loss": 0.5}
MAX_MODEL_BYTES = 1000
"""The size of a model, in bytes, beyond which its weights are in a second file."""


class Saves:
    """A run with two checkpoints, and the save that is disturbed in copies of it."""

    def __init__(self, folder: Path) -> None:
        run_lock.HEARTBEAT_SECONDS = NO_HEARTBEAT_SECONDS
        external_data.MAX_MODEL_BYTES = MAX_MODEL_BYTES
        self.folder = folder
        self.before, self.after = folder / "before", folder / "after"
        self.trainer = Trainer(SPEC)
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(32, 4)).astype(np.float32), rng.normal(size=(32, 2)).astype(np.float32)
        self.trainer.fit(x, y, validation_data=(x, y), epochs=2)
        with RunFolder(self.before) as run:
            run.start_run(self.trainer, {run.paths.spec: "{}", run.paths.run_info: "{}"})
            for _ in range(2):
                self._save(run, b"old")
                self.trainer.step(x[:8], y[:8])
        shutil.copytree(self.before, self.after)
        self._run(self.after, None, folder / "calls.txt")
        self.calls = [line.split()[0] for line in (folder / "calls.txt").read_text().splitlines()]
        self.old, self.new = files_of(self.before), files_of(self.after)

    def _save(self, run: RunFolder, content: bytes) -> None:
        run.append_metrics(0, METRICS)
        run.append_csv(0, METRICS)
        run.sync_metrics(has_csv=True)
        run.save_best_checkpoint(self.trainer)
        run.save_checkpoint(self.trainer)
        run.write_weights(self.trainer.weights())
        run.write_model(large_model(content), labels=content)
        run.write_texts({run.paths.run_info: json.dumps({"content": content.decode()})})

    def _run(self, path: Path, fault: Fault | None, log: Path | None = None) -> int:
        """Saves in a process of its own. Returns its exit status."""
        pid = os.fork()
        if pid == 0:
            status = BROKEN
            try:
                descriptor = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                with RunFolder(path) as run:
                    inject(str(path), fault or Fault(0, "pass"), descriptor)
                    try:
                        self._save(run, b"new")
                        status = SAVED
                    except UsageError as error:
                        is_expected = error.diagnostic.code in ("unwritable-file", "unreadable-file")
                        status = REFUSED if is_expected and path.name in error.diagnostic.message else BROKEN
                    inject("", Fault(0, "pass"), -1)
            except BaseException:  # it must not return to the code of its parent
                traceback.print_exc()
                status = BROKEN
            os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def check(self, number: int, action: str, error: str) -> str:
        """Disturbs the save once. Returns the outcome in words, "broken: " and the reason if a promise was broken."""
        path = self.folder / f"run-{number}-{action}-{error}".replace(" ", "-")
        shutil.copytree(self.before, path)
        status = self._run(path, Fault(number + 1, action, error))
        is_kill = action.startswith("kill")
        if status != -signal.SIGKILL if is_kill else status not in (SAVED, REFUSED):
            return f"broken: exit status {status}"
        found = files_of(path)
        logs = ("metrics.jsonl", "metrics.csv")  # in which a line may be torn: --resume writes them anew
        for name, content in found.items():
            known = (self.old.get(name), self.new.get(name))
            is_temporary = Path(name).match(TEMPORARY_NAME.format("*"))
            may_differ = name in logs or name.endswith("SHA256SUMS")  # it lists the files at that moment
            if not is_kill if is_temporary else content not in known and not may_differ:
                return f"broken: {name} is neither the old file nor the new one"
        if not weight_files_of(found["model.onnx"]) <= found.keys():
            return "broken: the weights of the model were lost"
        if found.get(LABELS_FILE, name_of(found["model.onnx"])) != name_of(found["model.onnx"]):
            return "broken: the labels are those of another model"
        newest = max(name for name in self.old if "step-" in name)
        if not any("step-" in name and name >= newest for name in found):
            return "broken: the newest checkpoint was lost"
        if (self.calls[number], error) == ("opendir", "EACCES"):  # a folder that is not listed keeps the old weights
            found = {name: content for name, content in found.items() if name not in self.old.keys() - self.new.keys()}
        if status == SAVED and not is_kill and not self._is_complete(found):
            return f"broken: the save has succeeded, but {sorted(found)} are not its files"
        if self._run(path, None) != SAVED:
            return "broken: the next save failed"
        if not self._is_complete(files_of(path)):
            return "broken: the next save had another result"
        shutil.rmtree(path)
        return "killed" if is_kill else "saved" if status == SAVED else "error"

    def _is_complete(self, found: dict[str, bytes]) -> bool:
        """Whether the files are those of a save that succeeded, but for lines of metrics of a save before it."""
        names = {name for name in self.new if not name.startswith("metrics.")}
        return all(found.get(name) == self.new[name] for name in names) and found.keys() == self.new.keys()


def large_model(content: bytes) -> ModelWriter:
    """A model with weights in a second file, both of which depend on the content."""
    weights = np.resize(np.frombuffer(content, np.uint8), 4 * MAX_MODEL_BYTES)
    tensor = onnx.TensorProto(name="weights", data_type=onnx.TensorProto.UINT8, dims=weights.shape)
    graph = onnx.GraphProto(name=content.decode(), initializer=[tensor])
    return ModelWriter(onnx.ModelProto(graph=graph), [weights])


def name_of(model: bytes) -> bytes:
    """The content of which a large model was made."""
    return onnx.load_model_from_string(model).graph.name.encode()


def weight_files_of(model: bytes) -> set[str]:
    """The names of the files with weights of a model."""
    tensors = onnx.load_model_from_string(model).graph.initializer
    return {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}


def files_of(folder: Path) -> dict[str, bytes]:
    """The contents of a run's files by their names, without its lock."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".lock")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def faults(call: str) -> list[tuple[str, str]]:
    """What may happen at a system call: actions and errors."""
    fails = [("fail", error) for error in ERRORS[call]]
    short = [("short", "ENOSPC")] if call == "write" else []
    return [*fails, *short, ("kill before", "EIO"), ("kill after", "EIO")]


def run(folder: Path, library: Path, stride: int = 1, first: int = 0) -> dict[str, str]:
    """The outcomes by the number of the call, its kind and the fault, in a process with the library preloaded."""
    environment = {**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "campaigns.fault_injection.saves", str(folder), str(stride), str(first)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def ledger_entries(outcomes: dict[str, str]) -> list[tuple[str, str]]:
    """The kind and the outcome of each trial, for the ledger."""
    trials = [(key.split(maxsplit=2)[1:], outcome) for key, outcome in outcomes.items()]
    return [
        ("call of a save", f"{'kill at ' if outcome == 'killed' else ''}{call}{error_of(fault)}: {outcome}")
        for (call, fault), outcome in trials
    ]


def error_of(fault: str) -> str:
    action, error = fault.rsplit(maxsplit=1)
    return "" if action.startswith("kill") else f" {error}"


def main() -> None:
    stride, first = (int(text) for text in [*sys.argv[2:4], *("1", "0")[len(sys.argv) - 2 :]])
    saves = Saves(Path(sys.argv[1]).resolve())
    outcomes = {
        f"{number} {saves.calls[number]} {action} {error}": saves.check(number, action, error)
        for number in range(first, len(saves.calls), stride)
        for action, error in faults(saves.calls[number])
    }
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main()
