"""Disturbs trainings on Ray: `python -m campaigns.distributed_faults.run --rounds 20 --seconds 600 --seed 1`.

A cluster of three nodes runs on this machine: one for the command, and two with a CPU each. A round trains on one or
two workers, and sends SIGKILL to a worker, to a node with its worker, or to the command, at a random instant. A killed
command is given once more, with --resume. The weights, the model and the metrics must then be those of an undisturbed
run on one machine, bit for bit. Each round is a line of JSON on standard output. Needs the extra `ray`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from environments.ray.trainings import LONG, finish, on_ray, run_files, start, worker_processes, write_project
from ray.cluster_utils import Cluster

VICTIMS = ("worker", "node", "command")
OBJECT_STORE_BYTES = 100_000_000
MIN_SECONDS = 2.0
"""Before the first kill, as the command itself has to start."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="number of kills")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no round after this time")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random choices")
    parser.add_argument("--first", type=int, default=0, help="number of the first round")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="jxf"))
    os.environ["RAY_TMPDIR"] = str(folder)
    begin, broken = time.monotonic(), 0
    campaign = Campaign(folder)
    try:
        for number in range(args.first, args.first + args.rounds):
            if time.monotonic() - begin > args.seconds:
                break
            outcome = campaign.round(Random(f"{args.seed} {number}"), number)
            broken += not outcome["equal"]
            print(json.dumps({"round": number, **outcome}), flush=True)
    finally:
        campaign.cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if broken else 0


class Campaign:
    """A cluster, a spec, and its undisturbed run on one machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_project(folder)
        finish(start(folder, "-o", "undisturbed", *LONG))
        self.expected = run_files(folder / "undisturbed")
        self.cluster = Cluster()
        self.cluster.add_node(num_cpus=0, include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES)
        self.nodes = [self.add_node(), self.add_node()]
        self.typical_seconds = self.undisturbed_seconds()

    def add_node(self) -> Any:
        return self.cluster.add_node(num_cpus=1, object_store_memory=OBJECT_STORE_BYTES)

    def undisturbed_seconds(self) -> float:
        begin = time.monotonic()
        finish(start(self.folder, *on_ray(self.cluster.address), "-o", "calm", *LONG))
        assert run_files(self.folder / "calm") == self.expected
        return time.monotonic() - begin

    def round(self, random: Random, number: int) -> dict[str, Any]:
        """Trains with a kill. Returns what was killed when, and whether the result is that of an undisturbed run."""
        victim, name = random.choice(VICTIMS), f"run{number}"
        instant = random.uniform(MIN_SECONDS, max(MIN_SECONDS + 1, self.typical_seconds))
        # A fixed number: Ray may keep the CPUs of a range for three minutes after its command was killed.
        command = [*on_ray(self.cluster.address, random.choice("12")), "-o", name, *LONG]
        begin, begin_time = time.monotonic(), time.time()
        process = start(self.folder, *command)
        with suppress(subprocess.TimeoutExpired):
            process.wait(instant)
        was_running = process.poll() is None
        epochs = self.epochs(name)
        if was_running:
            self.kill(victim, process, begin_time, random)
        output = process.communicate()[0]
        if victim == "command" and was_running:
            output = finish(start(self.folder, *command, "--resume"))
        equal = (self.folder / name / "model.onnx").exists() and run_files(self.folder / name) == self.expected
        if not equal:
            print(output, file=sys.stderr, flush=True)
        return {
            "victim": victim,
            "at_seconds": round(instant, 1),
            "at_epoch": epochs,
            "was_running": was_running,
            "restarts": output.count("training goes on with"),
            "seconds": round(time.monotonic() - begin, 1),
            "equal": equal,
        }

    def epochs(self, name: str) -> int:
        try:
            return (self.folder / name / "metrics.jsonl").read_bytes().count(b"\n")
        except OSError:
            return 0

    def kill(self, victim: str, process: subprocess.Popen[str], begin_time: float, random: Random) -> None:
        if victim == "command":
            process.kill()
        elif victim == "worker":
            workers = worker_processes(begin_time)
            if workers:
                os.kill(random.choice(workers), signal.SIGKILL)
        else:
            lost = random.randrange(len(self.nodes))
            self.cluster.remove_node(self.nodes[lost], allow_graceful=False)
            self.nodes[lost] = self.add_node()


if __name__ == "__main__":
    sys.exit(main())
