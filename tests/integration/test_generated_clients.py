"""Clients that `jsonnx client` generates: of all samples, checked by mypy, and called against a real server."""

from __future__ import annotations

import importlib.util
import json
import py_compile
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import jsonnx
import pytest
from support.commands import jsonnx as command
from support.serving import running_server

SAMPLES = Path(__file__).parents[2] / "samples"
SCALES = {"transformer": "tiny", "unet": "small"}
LARGE = {"efficientnet_b0", "mobilenet_v2", "resnet50"}
"""Specs of image classifiers whose weights take seconds to draw."""
LEARNED = {"flights", "penguins", "reviews"}
"""Samples whose vocabularies are learned from their data."""
NAMES = sorted(path.stem for path in SAMPLES.glob("*.json"))


def generated(model: Path, output: Path) -> str:
    command("client", str(model), "-o", str(output))
    return output.read_text()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models of samples, by name."""
    folder, models = tmp_path_factory.mktemp("models"), {}
    (folder / "data").mkdir()
    for tokenizer in SAMPLES.glob("data/*tokenizer.json"):
        shutil.copy(tokenizer, folder / "data")
    for name in NAMES:
        models[name] = folder / f"{name}.onnx"
        if name in LEARNED:
            spec = json.loads((SAMPLES / f"{name}.json").read_text())
            spec["training"] |= {"epochs": 1}
            spec["training"]["data"] |= {"train": str(SAMPLES / spec["training"]["data"]["train"])}
            spec["training"]["data"].pop("test")
            trainer = jsonnx.Trainer(spec, data_roots=[SAMPLES])
            trainer.fit(verbose=0)
            trainer.model().save(models[name])
        elif name not in LARGE:
            jsonnx.compile(SAMPLES / f"{name}.json", scale=SCALES.get(name)).save(models[name])
    return models


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LARGE])
def test_the_client_of_a_sample(name: str, models: dict[str, Path], tmp_path: Path) -> None:
    python = generated(models[name], tmp_path / f"{name}.py")
    py_compile.compile(str(tmp_path / f"{name}.py"), doraise=True)
    assert max(map(len, python.splitlines())) <= 120
    assert python == generated(models[name], tmp_path / "again.py")
    typescript = generated(models[name], tmp_path / f"{name}.ts")
    assert f"Client of the model {name}." in python
    assert f"Client of the model {name}." in typescript


USES = """
from penguins import Client, Row
from nuclei import picture

client = Client("http://localhost:1", token="t")
row: Row = {
    "island": "Biscoe", "sex": "male", "bill_length_mm": 50, "bill_depth_mm": 15.0, "flipper_length_mm": 220,
    "body_mass_g": 5000,
}
species = client.predict(row)["species"]
if species["label"] == "Gentoo":
    print(species["probabilities"]["Gentoo"] + 1.0, picture("a.png"))
row["island"] = "Bisco"
row["wings"] = 2
print(species["label"] == "Gento")
"""
EXPECTED_ERRORS = {13: "typeddict-item", 14: "typeddict-unknown-key", 15: "comparison-overlap"}
"""The codes of mypy for the last three lines."""


def test_mypy_accepts_clients_and_finds_misuse(models: dict[str, Path], tmp_path: Path) -> None:
    for name in ("penguins", "crashes", "nuclei", "bicycles", "mnist_mlp"):
        generated(models[name], tmp_path / f"{name}.py")
    (tmp_path / "uses.py").write_text(USES)
    options = ["--strict", "--no-error-summary", "--config-file=", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *map(str, sorted(tmp_path.glob("*.py")))],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if ": error: " in line]
    uses = [line for line in lines if line.startswith("uses.py")]
    found = {int(line.split(":")[1]): line.rpartition("[")[2].rstrip("]") for line in uses}
    assert (len(lines), found) == (3, EXPECTED_ERRORS), done.stdout


def module_of(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_client_calls_a_server(models: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    for name in ("penguins", "nuclei", "bicycles"):
        generated(models[name], tmp_path / f"{name}.py")
    penguins, nuclei, bicycles = (module_of(tmp_path / f"{name}.py") for name in ("penguins", "nuclei", "bicycles"))
    row: dict[str, Any] = {
        "island": "Biscoe", "sex": "male", "bill_length_mm": 50, "bill_depth_mm": 15.0, "flipper_length_mm": 220,
        "body_mass_g": 5000,
    }  # fmt: skip
    with running_server({name: models[name] for name in ("penguins", "nuclei", "bicycles")}) as server:
        url = server.url
        client = jsonnx.Client(url, model="penguins")
        client.wait_until_ready(20)
        generated_client = penguins.Client(url, model="penguins")
        assert generated_client.predict(row) == client.predict(row)
        assert generated_client.predict_rows([row, row]) == client.predict([row, row])
        with pytest.raises(penguins.ServerError) as caught:
            generated_client.predict({"island": "Biscoe"})
        assert (caught.value.status, caught.value.code) == (400, "missing-column")
        image = SAMPLES / "data/nuclei/images/60.png"
        predicted = nuclei.Client(url, model="nuclei").predict({"image": nuclei.picture(image)})
        assert predicted == jsonnx.Client(url, model="nuclei").predict(image)
        steps = [line.split(",") for line in (SAMPLES / "data/bicycles.csv").read_text().splitlines()[1:171]]
        rows = [{"time": time, "rented": float(rented)} for time, rented in steps]
        answers = bicycles.Client(url, model="bicycles").predict_rows(rows)
        assert [len(answer["rented"]["value"]) for answer in answers] == [24] * 3


def test_other_files_are_refused(models: dict[str, Path], tmp_path: Path) -> None:
    done = command("client", str(models["diabetes"]), "-o", str(tmp_path / "a.js"), status=2)
    assert "there are no clients in files like 'a.js'" in done.stderr
    assert "name a file .py or .ts" in done.stderr


class Busy(BaseHTTPRequestHandler):
    """Answers that the server is busy, and then with a prediction."""

    answers: ClassVar[list[tuple[int, dict[str, str], bytes]]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, headers, body = self.answers.pop(0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Prints nothing."""


def test_a_client_waits_for_a_busy_server(models: dict[str, Path], tmp_path: Path) -> None:
    generated(models["diabetes"], tmp_path / "diabetes.py")
    diabetes = module_of(tmp_path / "diabetes.py")
    with HTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = diabetes.Client(f"http://127.0.0.1:{server.server_port}")
        busy = 503, {"Retry-After": "0"}, b"{}"
        Busy.answers = [(429, {}, b"{}"), busy, (200, {}, b'{"prediction": 7}')]
        assert client.predict({}) == 7
        Busy.answers = [busy, busy, busy, (503, {}, b"<html>")]
        with pytest.raises(diabetes.ServerError) as caught:
            client.predict({})
        assert (caught.value.status, caught.value.code, Busy.answers) == (503, "server-error", [])
        server.shutdown()
