"""Trainings on a cluster of two nodes, each with an address of its own in a network namespace."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from environments.ray.trainings import LONG, START_SECONDS, epochs_of, finish, on_ray, run_files, start, wait_for

HOSTS = ("10.213.77.1", "10.213.77.2")
PORT = 6379
RAY = str(Path(sys.executable).with_name("ray"))


@dataclass
class Nodes:
    """Two network namespaces that are connected, and a node of Ray in each, with one CPU."""

    names: tuple[str, str]
    folder: Path
    processes: dict[int, subprocess.Popen[bytes]]

    @property
    def address(self) -> str:
        return f"{HOSTS[0]}:{PORT}"

    def within(self, number: int) -> list[str]:
        """A command that runs another one in a namespace."""
        return ["ip", "netns", "exec", self.names[number]]

    def start(self, number: int) -> None:
        """Starts a node, and waits until it takes part."""
        head = ["--head", f"--port={PORT}", "--include-dashboard=false"]
        options = head if number == 0 else [f"--address={self.address}"]
        # Nodes in one folder would read each other's address there.
        options += [f"--node-ip-address={HOSTS[number]}", f"--temp-dir={os.environ['RAY_TMPDIR']}/{number}", "--block"]
        options += ["--num-cpus=1", "--object-store-memory=100000000", "--disable-usage-stats"]
        log = self.folder / f"{number}.log"
        with log.open("wb") as file:
            command = [*self.within(number), RAY, "start", *options]
            process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
        self.processes[number] = process
        deadline = time.monotonic() + START_SECONDS
        while "Ray runtime started" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
        while len(self.living()) != len(self.processes):  # also until a node that was killed counts as dead
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)

    def living(self) -> list[str]:
        """The addresses and identifiers of the nodes that the cluster counts."""
        code = f"import ray; ray.init(address={self.address!r}, log_to_driver=False, logging_level='ERROR')\n"
        code += "print(*[f\"{n['NodeManagerAddress']}={n['NodeID']}\" for n in ray.nodes() if n['Alive']])"
        query = [*self.within(0), sys.executable, "-c", code]
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()

    def kill(self, number: int) -> None:
        """Ends all processes in a namespace at once, as a machine that loses its power."""
        listed = subprocess.run(["ip", "netns", "pids", self.names[number]], capture_output=True, text=True, check=True)
        for pid in listed.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        self.processes.pop(number).wait()

    def drain(self, number: int) -> None:
        """Announces that a node is about to be taken away."""
        node = next(
            identifier
            for address, _, identifier in (n.partition("=") for n in self.living())
            if address == HOSTS[number]
        )
        reason = ["--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=test", "--deadline-remaining-seconds=120"]
        command = [*self.within(0), RAY, "drain-node", f"--address={self.address}", f"--node-id={node}", *reason]
        done = subprocess.run(command, capture_output=True, text=True)
        assert not done.returncode, done.stderr


@pytest.fixture  # a cluster for each test: Ray may keep the CPUs of an elastic training for some minutes
def nodes(ray_folder: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the command ip")
    names = (f"jxr{os.getpid()}a", f"jxr{os.getpid()}b")
    links = (f"jxa{os.getpid()}"[:15], f"jxb{os.getpid()}"[:15])
    commands = [f"netns add {name}" for name in names]
    commands.append(f"link add {links[0]} netns {names[0]} type veth peer name {links[1]} netns {names[1]}")
    for name, link, host, other in zip(names, links, HOSTS, HOSTS[::-1], strict=True):
        commands += [f"-n {name} addr add {host}/24 dev {link}", f"-n {name} link set {link} up"]
        commands += [f"-n {name} link set lo up", f"-n {name} route add default via {other}"]
    cluster = Nodes(names, tmp_path_factory.mktemp("nodes"), {})
    try:
        for command in commands:
            done = subprocess.run(["ip", *command.split()], capture_output=True, text=True)
            if done.returncode and command.startswith("netns add"):
                pytest.skip(f"this system has no network namespaces: {done.stderr.strip()}")
            assert not done.returncode, (command, done.stderr)
        cluster.start(0)
        yield cluster
    finally:
        for number in list(cluster.processes):
            cluster.kill(number)
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def test_two_nodes_train_to_the_same_bits_and_one_may_be_lost(project: Path, nodes: Nodes) -> None:
    nodes.start(1)
    process = start(project, *on_ray(nodes.address, "1-2"), *LONG, "-o", "nodes", prefix=nodes.within(0))
    wait_for(lambda: epochs_of(project / "nodes") > 25, process)
    nodes.kill(1)
    output = finish(process)
    assert "2 workers on 2 nodes, 1 thread each" in output
    assert "training goes on with 1 worker on 1 node" in output
    assert run_files(project / "nodes") == run_files(project / "long")


@pytest.mark.slow
def test_a_node_that_is_taken_away_loses_nothing(project: Path, nodes: Nodes) -> None:
    """Without the checkpoint that is written then, the training would start over."""
    options = ["--set", "training.epochs=1000", "--set", 'training.checkpoint={"every_epochs": 100000}']
    finish(start(project, "-o", "whole", *options))
    nodes.start(1)
    process = start(project, *on_ray(nodes.address, "1-2"), *options, "-o", "drained", prefix=nodes.within(0))
    wait_for(lambda: epochs_of(project / "drained") > 10, process)
    nodes.drain(1)
    output = finish(process)
    assert "2 workers on 2 nodes, 1 thread each" in output
    assert "training goes on with 1 worker on 1 node" in output
    assert "continues after step" in output
    assert run_files(project / "drained") == run_files(project / "whole")
