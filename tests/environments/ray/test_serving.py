"""The Ray Serve application: answers of the command, batching, metrics, killed replicas, several replicas, errors."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from support.commands import jsonnx as command

SPEC: dict[str, Any] = {
    "name": "risks",
    "inputs": {"kind": {"shape": [], "dtype": "string"}, "x": {"shape": [3]}},
    "layers": [
        {"type": "StringLookup", "name": "k", "from": "kind", "vocabulary": ["a", "b"], "output_mode": "one_hot"},
        {"type": "Concatenate", "from": ["k", "x"]},
        {"type": "Dense", "name": "risk", "units": 3, "activation": "softmax"},
    ],
    "labels": ["low", "middle", "high"],
    "training": {"data": {"train": "d.csv", "x": {"x": ["p", "q", "r"]}}, "loss": "sparse_categorical_crossentropy"},
}
ROWS = [{"kind": "ab"[number % 2], "p": number, "q": number / 8, "r": -1} for number in range(20)]
READY_S = 60


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "risks.onnx"
    jsonnx.compile(SPEC, seed=5).save(path)
    return path


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of Ray's proxy, in a cluster of its own."""
    import ray
    from ray import serve

    port = free_port()
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, object_store_memory=100 << 20)
    serve.start(http_options={"port": port, "host": "127.0.0.1"})
    yield f"http://127.0.0.1:{port}"
    serve.shutdown()
    ray.shutdown()


@pytest.fixture(scope="module")
def client(url: str, model: Path) -> jsonnx.Client:
    """A client of an application with two replicas."""
    from ray import serve

    options = {"num_cpus": 1, "runtime_env": {"env_vars": {"JSONNX_TOKEN": "secret"}}}
    serve.run(jsonnx.ray.app(model, num_replicas=2, ray_actor_options=options))
    client = jsonnx.Client(url, token="secret")
    client.wait_until_ready(READY_S)
    return client


def replica_processes() -> list[int]:
    """The processes of this cluster's replicas that are alive: they descend from this process."""
    done = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    processes = {int(pid): (int(parent), text) for pid, parent, text in map(_columns, done.stdout.splitlines())}

    def descends(pid: int) -> bool:
        return pid == os.getpid() or (pid in processes and descends(processes[pid][0]))

    return [pid for pid, (_, text) in processes.items() if text.startswith("ray::ServeReplica:") and descends(pid)]


def _columns(line: str) -> tuple[str, str, str]:
    pid, parent, *text = line.split(None, 2)
    return pid, parent, text[0] if text else ""


def test_answers_are_those_of_the_command(client: jsonnx.Client, model: Path, tmp_path: Path) -> None:
    lines = ["kind,p,q,r", *(",".join(map(str, row.values())) for row in ROWS)]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    command("predict", str(model), "--data", str(tmp_path / "rows.csv"), "-o", str(tmp_path / "out.csv"))
    expected = [line.split(",") for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    answers = client.predict(ROWS)
    assert answers == client.predict("\n".join(lines) + "\n")
    for answer, (label, *numbers) in zip(answers, expected, strict=True):
        assert answer["risk"]["label"] == label
        assert list(answer["risk"]["probabilities"].values()) == [float(number) for number in numbers]
    feeds = {"kind": ["a", "c"], "x": [[1, 2, 3], [4, 5, 6]]}
    session = jsonnx.Session(model).run({"kind": np.array(["a", "c"], object), "x": np.array(feeds["x"], "float32")})
    np.testing.assert_array_equal(client.infer(feeds)["risk"], session["risk"])


def test_errors_and_the_token(client: jsonnx.Client, url: str) -> None:
    with pytest.raises(jsonnx.ServerError) as caught:
        client.predict({"kind": "a"})
    assert (caught.value.status, caught.value.code) == (400, "missing-column")
    with pytest.raises(jsonnx.ServerError) as caught:
        jsonnx.Client(url).predict(ROWS[0])
    assert caught.value.status == 401


def test_requests_share_runs(client: jsonnx.Client) -> None:
    """More requests than Ray's default limit of a replica are in it at once, and Ray exports what the models count."""
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(client.predict, ROWS * 20))
    assert answers == client.predict(ROWS) * 20
    wait_for_count("jsonnx_request_success", len(answers))


def wait_for_count(name: str, minimum: int) -> None:
    """Waits until Ray has exported so many counts of all replicas."""
    import ray

    (node,) = ray.nodes()
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    deadline, value, lines = time.monotonic() + READY_S, 0.0, list[str]()
    while value < minimum:
        assert time.monotonic() < deadline, lines
        time.sleep(1)
        with urllib.request.urlopen(address, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        lines = [line for line in lines if line.startswith(f"ray_{name}")]
        value = sum(float(line.rpartition(" ")[2]) for line in lines)


def test_killed_replicas_are_replaced(client: jsonnx.Client) -> None:
    expected = client.predict(ROWS)
    killed = replica_processes()
    assert len(killed) == 2
    for process in killed:
        os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + READY_S
    while True:
        try:
            assert client.predict(ROWS) == expected
            break
        except jsonnx.ServerError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    assert not {*replica_processes()} & {*killed}


def test_a_model_that_cannot_be_loaded(url: str, tmp_path: Path) -> None:
    from ray import serve

    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(RuntimeError):
        serve.run(jsonnx.ray.app(tmp_path / "broken.onnx", name="broken"), name="broken", route_prefix="/broken")
    serve.delete("broken")


def test_arguments_are_checked(tmp_path: Path) -> None:
    with pytest.raises(jsonnx.UsageError, match="there is no model"):
        jsonnx.ray.app(tmp_path / "absent")
    with pytest.raises(jsonnx.UsageError, match="no models"):
        jsonnx.ray.app()


def test_the_command_serve_run(url: str, model: Path, tmp_path: Path) -> None:
    """`serve run MODULE:APP`, in the cluster of the other tests; the last one, since the command ends Serve."""
    import ray

    (tmp_path / "served.py").write_text(f"import jsonnx\n\napp = jsonnx.ray.app('risky={model}')\n")
    environment = os.environ | {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    command = [str(Path(sys.executable).with_name("serve")), "run", "served:app", "--name=b", "--route-prefix=/b"]
    with (tmp_path / "log").open("w+") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
        try:
            client = jsonnx.Client(f"{url}/b", model="risky")
            client.wait_until_ready(READY_S)
            assert client.predict(ROWS[0])["risk"]["label"] in SPEC["labels"]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(READY_S)
            log.seek(0)
            print(log.read())
