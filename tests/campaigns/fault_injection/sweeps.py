"""Kills a search again and again: `python -m campaigns.fault_injection.sweeps --trials 50 --kills 5 --seed 1`.

`--sampler tpe --pruning hyperband` does so with another sampler and with pruning, one trial at a time.

After each SIGKILL at a random instant, the same command resumes the search. In the end, all trials must have the values
and results of a search that was never stopped, and the best one must be reproduced bit for bit from its lock. The
result is added to ledger.json beside this file.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from campaigns.fault_injection import ledger
from campaigns.fault_injection.specs import write_table
from campaigns.fault_injection.workload import Violation, environment
from jsonnx.core.files.run_layout import WEIGHTS_FILE

KIND = "killed search"
SPEC: dict[str, Any] = {
    "parameters": {"width": 8},
    "inputs": {"numbers": {"shape": [4]}},
    "layers": [
        {"type": "Normalization", "name": "scale"},
        {"type": "Dense", "units": "${width}", "activation": "relu"},
        {"type": "Dropout", "rate": 0.1},
        {"type": "Dense", "name": "is_large", "units": 1, "activation": "sigmoid"},
    ],
    "training": {
        "data": {"train": "train.csv", "validation": "validation.csv", "x": {"numbers": ["a", "b", "c", "d"]}},
        "loss": "binary_crossentropy",
        "optimizer": {"type": "adam", "learning_rate": 0.01},
        "metrics": ["accuracy"],
        "epochs": 20,
        "batch_size": 16,
        "restore_best_weights": True,
        "checkpoint": {"every_epochs": 1},
    },
    "sweep": {
        "parameters": {
            "width": {"choice": [4, 8, 16, 32]},
            "training.optimizer.learning_rate": {"log_range": [1e-4, 1e-1], "points": 15},
        },
        "metric": "val_loss",
    },
}


ADAPTIVE_SAMPLERS = ("tpe", "cma_es")
"""Samplers whose proposals depend on the order in which trials end, so that only one trial runs at a time."""


def command(folder: str, search: dict[str, Any]) -> list[str]:
    jobs = 1 if search["pruning"] or search["sampler"] in ADAPTIVE_SAMPLERS else 2
    options = ["--resume", "--jobs", str(jobs), "--threads", "1", "--quiet"]
    return [sys.executable, "-m", "jsonnx", "sweep", "spec.json", "-o", folder, *options]


def jsonnx(home: Path, *arguments: str) -> str:
    """Runs a command and returns its output. Raises Violation if it fails."""
    done = subprocess.run(arguments, cwd=home, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Violation(f"{' '.join(arguments[3:])} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def records(folder: Path) -> dict[str, dict[str, Any]]:
    """What the records of all trials have in each search with the same seed, by number: not their times."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("trials/*.json"))}
    return {
        number: {
            **{key: record[key] for key in ("values", "state", "value")},
            "curves": [run["curve"] for run in record["runs"]],
        }
        for number, record in found.items()
    }


def check(home: Path, search: dict[str, Any], kills: int, rng: Random) -> str:
    """Runs a search with and without kills, and compares them. Returns the outcome, raises Violation."""
    write_table(home)
    (home / "spec.json").write_text(json.dumps(SPEC | {"sweep": SPEC["sweep"] | search}))
    start = time.monotonic()
    jsonnx(home, *command("whole", search))
    seconds = time.monotonic() - start
    done = []
    for _ in range(kills):
        with subprocess.Popen(
            command("killed", search), cwd=home, env=environment(), stderr=subprocess.DEVNULL
        ) as sweep:
            time.sleep(rng.uniform(0.5, 1) * seconds / (kills + 1))
            sweep.kill()
        done.append(sum(record["state"] in ("finished", "pruned") for record in records(home / "killed").values()))
    jsonnx(home, *command("killed", search))
    expected, found = records(home / "whole"), records(home / "killed")
    if different := [number for number in expected if found.get(number) != expected[number]]:
        raise Violation(f"the trials {different} differ from those of the undisturbed search")
    if found.keys() != expected.keys() or len(found) != search["trials"]:
        raise Violation(f"there are {len(found)} trials, expected {search['trials']}")
    if (home / "killed/best.json").read_bytes() != (home / "whole/best.json").read_bytes():
        raise Violation("the best specs differ")
    (best,) = [path for path in (home / "killed/trials").iterdir() if path.is_dir()]
    program = (sys.executable, "-m", "jsonnx")
    jsonnx(home, *program, "lock", str(best.relative_to(home)))
    if "bit for bit" not in jsonnx(home, *program, "train", "spec.json", "--locked", "-o", "again", "--quiet"):
        raise Violation("the best trial was not reproduced")
    if (home / "again" / WEIGHTS_FILE).read_bytes() != (best / WEIGHTS_FILE).read_bytes():
        raise Violation("the weights of the best trial were not reproduced")
    pruned = sum(record["state"] == "pruned" for record in found.values())
    print(f"{len(found)} trials, {pruned} pruned, ended at each kill: {done}; the best is {best.name}", file=sys.stderr)
    return f"{len(found)} trials, {kills} kills: the same results, the best one reproduced"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--sampler", choices=("random", "grid", "qmc", *ADAPTIVE_SAMPLERS), default="random")
    parser.add_argument("--pruning", choices=("median", "successive_halving", "hyperband"))
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="seed of the instants")
    parser.add_argument("--dry", action="store_true", help="do not write to the ledger")
    args = parser.parse_args()
    home, broken = Path(tempfile.mkdtemp(prefix="jsonnx-sweeps-")), list[dict[str, Any]]()
    try:
        search = {"trials": args.trials, "sampler": args.sampler, "pruning": args.pruning}
        outcome = check(home.resolve(), search, args.kills, Random(args.seed))
    except Violation as violation:
        outcome, broken = "broken", [{"kind": KIND, "seed": args.seed, "message": str(violation)}]
        print(violation, file=sys.stderr)
    finally:
        shutil.rmtree(home)
    if not args.dry:
        ledger.record([(KIND, outcome)], broken)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
