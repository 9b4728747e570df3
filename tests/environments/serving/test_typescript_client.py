"""Generated TypeScript clients: checked by tsc, run by Node against a server, and misuse that tsc finds."""

from __future__ import annotations

import base64
import json
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import jsonnx
import pytest
from environments.serving.conftest import SAMPLES, TRAINED
from support.served_process import ServedProcess

TSC_OPTIONS = [
    *("--strict", "--exactOptionalPropertyTypes", "--noPropertyAccessFromIndexSignature", "--noUnusedLocals"),
    *("--target", "es2022", "--module", "es2022", "--moduleResolution", "bundler", "--lib", "es2022,dom"),
]
UNTRAINED = ("bicycles", "crashes", "diabetes", "nuclei", "vowels_lstm")
"""Samples whose models need no training, with other kinds of rows and predictions."""

PENGUINS = """
import { Client, ServerError, type Row } from "./penguins.js";
declare const process: { argv: string[] };
const [url, rows] = process.argv.slice(2) as [string, string];
const client = new Client(`${url}/`, { model: "penguins" });
const row: Row = JSON.parse(rows)[0];
const one = await client.predict(row);
if (one.species.label === "Gentoo") one.species.probabilities.Gentoo.toFixed(2);
const all = await client.predictRows(JSON.parse(rows));
let refused: unknown;
try {
  await client.predict({ ...row, bill_length_mm: "long" as unknown as number });
} catch (error) {
  if (error instanceof ServerError) refused = { status: error.status, code: error.code };
}
console.log(JSON.stringify({ one, all, refused }));
"""
PICTURES = """
import { Client, picture } from "./mnist_cnn.js";
declare const process: { argv: string[] };
const [url, base64] = process.argv.slice(2) as [string, string];
const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
const image = await picture(new Blob([bytes], { type: "image/png" }));
console.log(JSON.stringify(await new Client(url, { model: "mnist_cnn" }).predict({ image })));
"""
MISUSE = """
import { Client } from "./penguins.js";
const client = new Client("http://localhost:1");
const row = { sex: "male", bill_length_mm: 50, bill_depth_mm: 15, flipper_length_mm: 2, body_mass_g: 5 } as const;
await client.predict({ ...row, island: "Bisco" });
await client.predict(row);
(await client.predict({ ...row, island: "Biscoe" })).species.label === "Gento";
"""
MISUSE_CODES = {5: "TS2820", 6: "TS2741", 7: "TS2367"}


@pytest.fixture(scope="module")
def project(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with TypeScript and the clients of all models."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    folder = tmp_path_factory.mktemp("typescript")
    (folder / "package.json").write_text('{"type": "module"}')
    npm = ["npm", "install", "--no-audit", "--no-fund", "--silent", "typescript@>=5.4"]
    subprocess.run(npm, cwd=folder, check=True, timeout=120)
    for name in TRAINED:
        generate(runs / name, folder / f"{name}.ts")
    for name in UNTRAINED:
        jsonnx.compile(SAMPLES / f"{name}.json").save(folder / f"{name}.onnx")
        generate(folder / f"{name}.onnx", folder / f"{name}.ts")
    return folder


def generate(model: Path, output: Path) -> None:
    subprocess.run([sys.executable, "-m", "jsonnx", "client", str(model), "-o", str(output)], check=True, timeout=60)


def tsc(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(project / "node_modules/.bin/tsc"), *TSC_OPTIONS, *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120)


def run(project: Path, name: str, source: str, *arguments: str) -> Any:
    """What a program prints, which uses a client."""
    (project / f"{name}.ts").write_text(source)
    done = tsc(project, "--outDir", "built", f"{name}.ts")
    assert not done.returncode, done.stdout
    node = subprocess.run(
        ["node", f"built/{name}.js", *arguments], cwd=project, capture_output=True, text=True, timeout=60
    )
    assert not node.returncode, node.stderr
    return json.loads(node.stdout)


def test_clients_are_strict(project: Path) -> None:
    done = tsc(project, "--noEmit", *(f"{name}.ts" for name in (*TRAINED, *UNTRAINED)))
    assert not done.returncode, done.stdout


def test_misuse_is_an_error(project: Path) -> None:
    (project / "misuse.ts").write_text(MISUSE)
    done = tsc(project, "--noEmit", "misuse.ts")
    lines = [line for line in done.stdout.splitlines() if "error TS" in line]
    found = {int(line.split("(")[1].split(",")[0]): line.split("error ")[1].split(":")[0] for line in lines}
    assert found == MISUSE_CODES, done.stdout


def test_node_predicts_rows(project: Path, server: ServedProcess) -> None:
    rows = [
        {"island": "Biscoe", "sex": "male", "bill_length_mm": 50, "bill_depth_mm": 15, "flipper_length_mm": 220,
         "body_mass_g": 5400},
        {"island": "Dream", "sex": "", "bill_length_mm": 38, "bill_depth_mm": 18.5, "flipper_length_mm": 186,
         "body_mass_g": 3600},
    ]  # fmt: skip
    answer = run(project, "uses_penguins", PENGUINS, server.url, json.dumps(rows))
    expected = jsonnx.Client(server.url, model="penguins").predict(rows)
    assert answer["one"] == expected[0]
    assert answer["all"] == expected
    assert answer["refused"] == {"status": 400, "code": "bad-value"}


def test_node_predicts_a_picture(project: Path, server: ServedProcess) -> None:
    pixels = b"".join(b"\0" + bytes((row * column) % 256 for column in range(28)) for row in range(28))
    header = struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0)  # 8 bits of gray
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    answer = run(project, "uses_mnist_cnn", PICTURES, server.url, base64.b64encode(png).decode())
    assert answer == jsonnx.Client(server.url, model="mnist_cnn").predict(png)
