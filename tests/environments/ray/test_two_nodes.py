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
    log: Path
    processes: dict[int, subprocess.Popen[bytes]]

    @property
    def address(self) -> str:
        return f"{HOSTS[0]}:{PORT}"

    def within(self, number: int) -> list[str]:
        """A command that runs another one in a namespace."""
        return ["ip", "netns", "exec", self.names[number]]

    def start(self, number: int) -> None:
        head = ["--head", f"--port={PORT}", "--include-dashboard=false"]
        options = head if number == 0 else [f"--address={self.address}"]
        # Nodes in one folder would read each other's address there.
        options += [f"--node-ip-address={HOSTS[number]}", f"--temp-dir={os.environ['RAY_TMPDIR']}/{number}", "--block"]
        options += ["--num-cpus=1", "--object-store-memory=100000000", "--disable-usage-stats"]
        command = [*self.within(number), RAY, "start", *options]
        with self.log.open("ab") as log:
            self.processes[number] = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def kill(self, number: int) -> None:
        """Ends all processes in a namespace at once, as a machine that loses its power."""
        listed = subprocess.run(["ip", "netns", "pids", self.names[number]], capture_output=True, text=True, check=True)
        for pid in listed.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        self.processes.pop(number).wait()

    def wait_until_alive(self, count: int) -> list[str]:
        """Waits for nodes; returns their identifiers, in the order of HOSTS."""
        code = f"import ray; ray.init(address={self.address!r}, log_to_driver=False, logging_level='ERROR'); "
        code += "nodes = {n['NodeManagerAddress']: n['NodeID'] for n in ray.nodes() if n['Alive']}; "
        code += "print(*[nodes[host] for host in sorted(nodes)])"
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            command = [*self.within(0), sys.executable, "-c", code]
            found = subprocess.run(command, capture_output=True, text=True).stdout.split()
            if len(found) >= count:
                return found
            time.sleep(0.5)
        raise AssertionError(f"there are not {count} nodes: {found}; {self.log.read_text()[-2000:]}")


@pytest.fixture
def nodes(ray_folder: str, tmp_path: Path) -> Iterator[Nodes]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the command ip")
    names = (f"jxr{os.getpid()}a", f"jxr{os.getpid()}b")
    links = (f"jxa{os.getpid()}"[:15], f"jxb{os.getpid()}"[:15])
    commands = [f"netns add {name}" for name in names]
    commands.append(f"link add {links[0]} netns {names[0]} type veth peer name {links[1]} netns {names[1]}")
    for name, link, host, other in zip(names, links, HOSTS, HOSTS[::-1], strict=True):
        commands += [f"-n {name} addr add {host}/24 dev {link}", f"-n {name} link set {link} up"]
        commands += [f"-n {name} link set lo up", f"-n {name} route add default via {other}"]
    cluster = Nodes(names, tmp_path / "nodes.log", {})
    try:
        for command in commands:
            done = subprocess.run(["ip", *command.split()], capture_output=True, text=True)
            if done.returncode and command.startswith("netns add"):
                pytest.skip(f"this system has no network namespaces: {done.stderr.strip()}")
            assert not done.returncode, (command, done.stderr)
        cluster.start(0)
        cluster.wait_until_alive(1)
        cluster.start(1)
        yield cluster
    finally:
        for number in list(cluster.processes):
            cluster.kill(number)
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def test_two_nodes_train_to_the_same_bits_and_one_may_be_lost(project: Path, nodes: Nodes) -> None:
    nodes.wait_until_alive(2)
    options = [*on_ray(nodes.address, "1-2"), *LONG]
    process = start(project, *options, "-o", "nodes", prefix=nodes.within(0))
    wait_for(lambda: epochs_of(project / "nodes") > 25, process)
    nodes.kill(1)
    output = finish(process)
    assert "2 workers on 2 nodes, 1 thread each" in output
    assert "training goes on with 1 worker on 1 node" in output
    assert run_files(project / "nodes") == run_files(project / "long")


def test_a_node_that_is_taken_away_loses_nothing(project: Path, nodes: Nodes) -> None:
    _, second = nodes.wait_until_alive(2)
    options = [*on_ray(nodes.address, "1-2"), *LONG, "--set", 'training.checkpoint={"every_epochs": 100000}']
    process = start(project, *options, "-o", "drained", prefix=nodes.within(0))
    wait_for(lambda: epochs_of(project / "drained") > 10, process)
    reason = ["--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=test", "--deadline-remaining-seconds=60"]
    drain = [*nodes.within(0), RAY, "drain-node", f"--address={nodes.address}", f"--node-id={second}", *reason]
    subprocess.run(drain, check=True, capture_output=True)
    output = finish(process)
    assert "training goes on with 1 worker on 1 node" in output
    assert "continues after step" in output
    assert run_files(project / "drained") == run_files(project / "long")
