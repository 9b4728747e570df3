"""`jsonnx mcp` as its users meet it: a process that the MCP Python SDK's client starts and talks to.

Run by `run.sh` in an environment that has the SDK; the ordinary suite does not collect it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.core.system.cpu_count import thread_count
from jsonnx.mcp_server import command_process, tools
from jsonnx.mcp_server.command_line import CommandFolders
from jsonnx.mcp_server.command_process import CommandResult, failure_of, run_command
from jsonnx.mcp_server.paging import MAX_PAGE_CHARACTERS
from jsonnx.mcp_server.temporary_folder import PREFIX
from jsonnx.render.reference.llms_page import llms_page
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

SAMPLES = Path(__file__).parents[3] / "samples"
SOURCE = Path(__file__).parents[3] / "compiler"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SOURCE)}

SPEC = {"inputs": {"x": {"shape": [4]}}, "layers": [{"type": "Dense", "units": 3}]}

READ_ONLY = {"validate", "lint", "summary", "explain", "layers", "diff", "status"}
DESTRUCTIVE = {"fmt", "train", "predict"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a spec and its data, beside a folder with a secret."""
    folder = tmp_path / "served"
    shutil.copytree(
        SAMPLES / "data", folder / "data", ignore=lambda _, names: [n for n in names if "diabetes" not in n]
    )
    spec = json.loads((SAMPLES / "diabetes.json").read_text())
    spec["training"] |= {"epochs": 2, "trackers": ["wandb"]}
    (folder / "spec.json").write_text(json.dumps(spec))
    (folder / "long.json").write_text(json.dumps({**spec, "training": {**spec["training"], "epochs": 100_000}}))
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "spec.json").write_text(json.dumps(SPEC))
    (tmp_path / "secret" / "a.csv").write_text("patient,progression\n1,2\n")
    return folder


class Caller:
    """Calls tools, and returns their structured results."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def result(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        assert json.loads(result.content[0].text) == result.structured_content
        value: dict[str, Any] = result.structured_content
        return value

    async def error(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The first diagnostic of a call that fails."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, result.structured_content
        assert "Traceback" not in result.content[0].text
        assert json.loads(result.content[0].text) == result.structured_content
        diagnostic: dict[str, Any] = result.structured_content["diagnostics"][0]
        return diagnostic

    async def finished(self, job: str, seconds: float = 60) -> dict[str, Any]:
        """The status of a job that has ended."""
        for _ in range(int(seconds / 0.2)):
            status = await self.result("status", job=job)
            if status["state"] != "running":
                return status
            await anyio.sleep(0.2)
        raise AssertionError(f"{job} is still running")


def talk(root: Path, conversation: Callable[[Caller], Awaitable[None]]) -> None:
    """Starts a server for a folder, and holds a conversation with it."""

    async def run() -> None:
        arguments = ["-m", "jsonnx", "mcp", "--root", str(root)]
        server = StdioServerParameters(command=sys.executable, args=arguments, env=ENVIRONMENT)
        async with Client(stdio_client(server)) as client:
            await conversation(Caller(client))

    anyio.run(run)


def test_tools_and_resources_are_listed(root: Path) -> None:
    async def conversation(call: Caller) -> None:
        listed = {tool.name: tool for tool in (await call.client.list_tools()).tools}
        assert {name for name, tool in listed.items() if tool.annotations.read_only_hint} == READ_ONLY
        assert {name for name, tool in listed.items() if tool.annotations.destructive_hint} == DESTRUCTIVE
        for tool in listed.values():
            assert tool.description
            assert tool.input_schema["type"] == "object"
            assert all(part.get("description") for part in tool.input_schema["properties"].values())
        assert (await call.client.read_resource("jsonnx://llms.txt")).contents[0].text == llms_page()
        schema = (await call.client.read_resource("jsonnx://schema.json")).contents[0].text
        assert json.loads(schema)["title"] == "jsonnx model"
        assert "jsonnx://llms.txt" in call.client.instructions

    talk(root, conversation)


def test_specs_are_checked_described_compared_and_formatted(root: Path) -> None:
    async def conversation(call: Caller) -> None:
        checked = await call.result("validate", spec="spec.json")
        assert checked["valid"]
        text = json.dumps({**SPEC, "layers": [{"type": "Dens", "units": 3}, {"type": "Dense", "unit": 3}]})
        checked = await call.result("validate", spec=text, limit=1)
        assert not checked["valid"]
        assert checked["diagnostics"]["items"][0]["help"] == "did you mean 'Dense'?"
        assert checked["diagnostics"]["next_offset"] == 1
        rest = await call.result("validate", spec=text, offset=1)
        assert rest["diagnostics"]["items"][0]["code"] == "unknown-key"
        stacked = {**SPEC, "layers": [{"type": "Dense", "units": 8}, {"type": "Dense", "units": 3}]}
        assert (await call.result("lint", spec=json.dumps(stacked)))["diagnostics"]["total"] > 0
        summary = await call.result("summary", spec="spec.json", limit=1)
        assert summary["layers"]["items"][0]["name"] == "normalization"
        assert summary["layers"]["next_offset"] == 1
        widened = await call.result("summary", spec=json.dumps(SPEC), changes=["layers.0.units=5"])
        assert widened["layers"]["items"][0]["parameters"] == 25
        assert "Wrong:" in (await call.result("explain", code="unknown-key"))["explanation"]
        dense = (await call.result("layers", name="Dense"))["items"][0]
        assert dense["arguments"][0]["name"] == "units"
        assert (await call.result("layers", limit=3))["next_offset"] == 3
        assert "ctc" in [item["name"] for item in (await call.result("layers", search="ctc"))["items"]]
        comparison = await call.result("diff", old="spec.json", new=json.dumps(SPEC))
        assert comparison["breaks"]
        formatted = await call.result("fmt", spec='{"layers": [], "name": null}', drop_nulls=True)
        assert formatted["text"] == '{\n  "layers": []\n}\n'
        await call.result("fmt", spec=json.dumps(SPEC), output="new.json")
        assert json.loads((root / "new.json").read_text()) == SPEC

    talk(root, conversation)


def test_mistakes_are_diagnostics(root: Path) -> None:
    async def conversation(call: Caller) -> None:
        assert (await call.error("validat", spec="spec.json"))["help"] == "did you mean 'validate'?"
        assert (await call.error("validate", sepc="spec.json"))["help"] == "did you mean 'spec'?"
        assert (await call.error("validate"))["message"].startswith("spec: ")
        assert (await call.error("validate", spec=3))["code"] == "bad-option"
        assert (await call.error("validate", spec="spec.json", limit=10**9))["code"] == "bad-option"
        assert (await call.error("summary", spec="absent.json"))["code"] == "unreadable-file"
        assert (await call.error("summary", spec=json.dumps(SPEC), changes=["layers.9.units=1"]))[
            "code"
        ] == "bad-option"
        assert (await call.error("summary", spec="{bad"))["code"] == "invalid-json"
        assert (await call.error("fmt", spec="{bad"))["line"] == 1
        assert (await call.error("explain", code="--help"))["code"] == "unknown-code"
        assert (await call.error("layers", name="Dens"))["help"] == "did you mean 'Dense'?"
        assert (await call.error("status", job="job-7"))["code"] == "unknown-job"
        assert (await call.error("evaluate", model="spec.json"))["severity"] == "error"
        assert (await call.error("predict", model="absent", data="data/diabetes_test.csv"))["code"] == "unreadable-file"
        assert (await call.result("validate", spec="spec.json"))["valid"]  # the server has survived all of it

    talk(root, conversation)


def test_no_path_leads_out_of_the_folder(root: Path) -> None:
    secret = root.parent / "secret"
    (root / "link.json").symlink_to(secret / "spec.json")
    (root / "linked").symlink_to(secret)
    (root / "data" / "inner.csv").symlink_to(secret / "a.csv")
    (root / "inside.json").symlink_to("spec.json")
    outside = [str(secret / "spec.json"), "../secret/spec.json", "data/../../secret/spec.json", "link.json", "a\0b"]

    async def conversation(call: Caller) -> None:
        assert (await call.result("validate", spec="inside.json"))["valid"]
        assert (await call.result("validate", spec=str(root / "spec.json")))["valid"]
        for path in [*outside, "linked/spec.json"]:
            for tool, arguments in {
                "validate": {"spec": path},
                "summary": {"spec": path},
                "fmt": {"spec": path},
                "diff": {"old": path, "new": "spec.json"},
                "train": {"spec": path, "dry_run": False},
                "evaluate": {"model": path},
            }.items():
                assert (await call.error(tool, **arguments))["code"] == "unsafe-path", (tool, path)
        for path in ("../new.json", "linked/new.json", str(secret / "new.json")):
            assert (await call.error("fmt", spec=json.dumps(SPEC), output=path))["code"] == "unsafe-path"
            assert (await call.error("train", spec="spec.json", output=path))["code"] == "unsafe-path"
            assert (await call.error("predict", model="runs/a", data="data", output=path))["code"] == "unsafe-path"
        for path in ("../secret/a.csv", str(secret / "a.csv"), "linked/a.csv"):
            assert (await call.error("train", spec="spec.json", data=path))["code"] == "unsafe-path", path
        for path in ("../secret/*.csv", "linked/*.csv", "data/*.csv", "data", str(secret / "*.csv")):
            checked = await call.result("train", spec="spec.json", data=path, dry_run=False)
            assert not checked["started"], path
            assert "progression" not in json.dumps(checked["diagnostics"])
        named = [("data.train", "../secret/a.csv"), ("data.train", "linked/a.csv"), ("weights", str(secret / "a.csv"))]
        for key, path in named:
            checked = await call.result("train", spec="spec.json", changes=[f"training.{key}={json.dumps(path)}"])
            codes = [diagnostic["code"] for diagnostic in checked["diagnostics"]["items"]]
            assert not checked["valid"]
            assert "unsafe-path" in codes, (key, path, codes)

    talk(root, conversation)
    assert sorted(path.name for path in secret.iterdir()) == ["a.csv", "spec.json"]


FORGED = [
    {"data_folder": "../../../secret"},
    {"data_folder": "/etc"},
    {"data_folder": "../../link"},
    {"data_files": {"validation": "../../../secret/a.csv", "train": "../../../secret/a.csv"}},
    {"data_files": {"train": "../../../secret/*.csv"}},
    {"data_files": {"train": "../../linked.csv"}},
    {"data_files": {"train": "/etc/passwd"}},
]
"""What the `execution.json` of a run in `runs/a` may say, so that `evaluate` would read files outside."""


def test_a_run_folder_does_not_lead_out_either(root: Path) -> None:
    run, secret = root / "runs" / "a", root.parent / "secret"
    (secret / "data").mkdir()
    for name in ("train", "test"):
        shutil.copy(root / "data" / f"diabetes_{name}.csv", secret / "data")
    shutil.copy(root / "data" / "diabetes_test.csv", secret / "a.csv")
    (root / "link").symlink_to(secret)
    (root / "linked.csv").symlink_to(secret / "a.csv")

    async def conversation(call: Caller) -> None:
        started = await call.result("train", spec="spec.json", output="runs/a", dry_run=False)
        assert (await call.finished(started["job"]))["state"] == "finished"
        execution, info = ((run / name).read_text() for name in ("execution.json", "run.json"))
        shutil.copy(run / "spec.source.json", secret / "spec.json")  # outside, that does not count
        for forged in FORGED:
            (run / "execution.json").write_text(json.dumps({**json.loads(execution), **forged}))
            assert (await call.error("evaluate", model="runs/a"))["code"] == "unsafe-path", forged
        (run / "execution.json").write_text(execution)
        (run / "run.json").write_text(json.dumps({**json.loads(info), "spec": "../../../secret/spec.json"}))
        assert (await call.error("evaluate", model="runs/a"))["code"] == "damaged-file"
        (run / "run.json").write_text(info)
        for name in ("run.json", "execution.json", "weights.safetensors", "model.onnx"):
            shutil.move(run / name, secret / name)
            (run / name).symlink_to(secret / name)
            assert (await call.error("evaluate", model="runs/a"))["code"] == "unsafe-path", name
            (run / name).unlink()
            shutil.move(secret / name, run / name)
        assert "mae" in (await call.result("evaluate", model="runs/a"))["figures"]

    talk(root, conversation)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_training_writes_nothing_through_links(root: Path) -> None:
    run, secret = root / "runs" / "a", root.parent / "secret"
    (secret / "step-000000000001.safetensors").write_text("precious")
    (secret / "metrics.jsonl").write_text("precious")

    async def conversation(call: Caller) -> None:
        started = await call.result("train", spec="spec.json", output="runs/a", dry_run=False)
        assert (await call.finished(started["job"]))["state"] == "finished"
        before = contents(secret)
        for name, options in (
            ("metrics.jsonl", {"resume": True, "changes": ["training.epochs=3"]}),
            ("checkpoints", {"resume": True, "changes": ["training.epochs=3"]}),
            ("weights.safetensors", {"force": True}),
        ):
            shutil.move(run / name, run / "kept")
            (run / name).symlink_to(secret if name == "checkpoints" else secret / name)
            again = await call.result("train", spec="spec.json", output="runs/a", dry_run=False, **options)
            assert (await call.finished(again["job"]))["state"] == "failed", name
            assert contents(secret) == before, name
            (run / name).unlink()
            shutil.move(run / "kept", run / name)
        for hidden in (".git", "a/.vscode"):
            (root / hidden).mkdir(parents=True)
            again = await call.result("train", spec="spec.json", output=f"{hidden}/run", dry_run=False)
            assert (await call.finished(again["job"]))["state"] == "failed"
            assert [*(root / hidden).iterdir()] == []

    talk(root, conversation)


def test_specs_lead_to_no_file_outside(root: Path) -> None:
    secret = root.parent / "secret"
    (root / "linked").symlink_to(secret)
    (secret / "words.txt").write_text("hunter2\nhunter3\n")
    (secret / "w.npz").write_bytes(b"PK")
    vocabulary = {
        "inputs": {"t": {"shape": [1], "dtype": "string"}},
        "layers": [{"type": "StringLookup", "vocabulary": ""}, {"type": "Embedding", "output_dim": 2}],
    }

    async def conversation(call: Caller) -> None:
        for folder in ("../secret", "linked", str(secret)):
            vocabulary["layers"][0]["vocabulary"] = f"{folder}/words.txt"  # type: ignore[index]
            (root / "words.json").write_text(json.dumps(vocabulary))
            for spec in ("words.json", json.dumps(vocabulary)):
                checked = await call.result("validate", spec=spec)
                assert not checked["valid"]
                assert "hunter" not in json.dumps(checked)
            for change in (f'training.data.train="{folder}/*.csv"', f'training.weights="{folder}/w.npz"'):
                started = await call.result("train", spec="spec.json", changes=[change], dry_run=False)
                if started["started"]:
                    assert (await call.finished(started["job"]))["state"] == "failed", change
        subprocess.run(["git", "init", "-q", str(root.parent)], check=True)
        for old in ("git:HEAD:secret/spec.json", "git:HEAD:../secret/spec.json"):
            error = await call.error("diff", old=old, new="spec.json")
            assert error["code"] in ("git-failed", "unreadable-file", "unsafe-path"), error

    talk(root, conversation)


def test_fmt_writes_specs_only(root: Path) -> None:
    package = {"name": "x", "scripts": {"postinstall": "run"}}
    (root / "package.json").write_text(json.dumps(package))
    for folder in (".vscode", "run", "sweep/trials"):
        (root / folder).mkdir(parents=True)
    (root / "run" / "run.json").write_text("{}")
    (root / "sweep" / "sweep.json").write_text("{}")
    before = contents(root)
    text = json.dumps(SPEC)
    tasks = json.dumps({"version": "2.0.0", "tasks": [{"type": "shell", "command": "run"}]})
    refused = [
        (tasks, ".vscode/tasks.json", "unsafe-path"),
        (text, ".vscode/tasks.json", "unsafe-path"),
        (text, ".tasks.json", "unsafe-path"),
        (text, "run/execution.json", "unsafe-path"),
        (text, "sweep/trials/0001.json", "unsafe-path"),
        (tasks, "tasks.json", "bad-option"),
        (text, "d2.csv", "bad-option"),
        (text, "package.json", "bad-option"),
        (json.dumps({**SPEC, **package}), "settings.json", "bad-option"),
        ('{"a": 1}', "a.json", "bad-option"),
        ("{}", "a.json", "bad-option"),
    ]

    async def conversation(call: Caller) -> None:
        for spec, output, code in refused:
            assert (await call.error("fmt", spec=spec, output=output))["code"] == code, output
        for output in (".vscode/tasks.json", "run/execution.json", "predictions"):
            error = await call.error("predict", model="run", data="data", output=output)
            assert error["code"] in ("unsafe-path", "bad-option")
        assert contents(root) == before
        await call.result("fmt", spec=text, output="spec.json")

    talk(root, conversation)


def test_odd_texts_get_an_answer(root: Path, server: subprocess.Popen[str]) -> None:
    initialize(server)

    def call(number: int, tool: str, **arguments: Any) -> dict[str, Any]:
        result: dict[str, Any] = request(server, number, "tools/call", {"name": tool, "arguments": arguments})["result"]
        return result

    texts = ["Dense\0", "\ud800", "a" * 300_000, "../" * 100_000]
    for number, text in enumerate(texts):
        for tool, arguments in {
            "layers": {"name": text},
            "explain": {"code": text},
            "validate": {"spec": text},
            "summary": {"spec": "spec.json", "changes": [f"name={text}"]},
            "predict": {"model": text, "data": text},
            "fmt": {"spec": json.dumps(SPEC), "output": text},
            "status": {"job": text},
        }.items():
            answer = call(100 + number, tool, **arguments)["structuredContent"]["diagnostics"]
            found = answer["items"] if tool == "validate" and isinstance(answer, dict) else answer
            assert found[0]["severity"] == "error", (tool, text[:20])
            assert found[0]["code"] != "system-failure", (tool, text[:20])
    spec = json.dumps({**SPEC, "name": "\ud800"})
    assert not call(200, "validate", spec=spec)["structuredContent"]["valid"]
    assert call(201, "validate", spec="spec.json")["structuredContent"]["valid"]


def test_calls_at_once_wait_for_each_other(root: Path) -> None:
    most = 0

    async def conversation(call: Caller) -> None:
        async def watch() -> None:
            nonlocal most
            while True:
                lines = (await anyio.run_process(["ps", "-eo", "args", "-ww"])).stdout.decode().splitlines()
                most = max(most, sum("supervised_command" in line and marker in line for line in lines))
                await anyio.sleep(0.02)

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            async with anyio.create_task_group() as calls:
                for _ in range(20):
                    calls.start_soon(lambda: call.result("validate", spec="spec.json", changes=[f"name={marker}"]))
            group.cancel_scope.cancel()

    marker = f"n{os.getpid()}"
    talk(root, conversation)
    assert 0 < most <= max(2, thread_count())


def temporary_folders() -> set[Path]:
    return {*Path(tempfile.gettempdir()).glob(f"{PREFIX}*")}


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_the_server_and_its_files(
    root: Path, server: subprocess.Popen[str], sent: signal.Signals
) -> None:
    before = temporary_folders()
    initialize(server)
    (own,) = temporary_folders() - before
    server.send_signal(sent)  # standard input stays open
    assert server.wait(10) == (-9 if sent == signal.SIGKILL else 128 + sent)
    if sent == signal.SIGKILL:
        assert own.exists()
        talk(root, lambda call: call.result("status"))  # type: ignore[arg-type, return-value]
    assert not own.exists()


def test_no_module_of_the_served_folder_is_imported(root: Path) -> None:
    for name in ("click", "json", "numpy", "sitecustomize"):
        (root / f"{name}.py").write_text(f"open({str(root.parent / 'imported')!r}, 'w')\n")
    (root / "jsonnx").mkdir()
    (root / "jsonnx" / "__init__.py").write_text("raise SystemExit(3)\n")

    async def conversation(call: Caller) -> None:
        assert (await call.result("validate", spec="spec.json"))["valid"]
        assert (await call.result("summary", spec="spec.json"))["name"] == "diabetes"

    talk(root, conversation)
    assert not (root.parent / "imported").exists()


def test_a_spec_is_trained_evaluated_and_used(root: Path) -> None:
    async def conversation(call: Caller) -> None:
        planned = await call.result("train", spec="spec.json", output="runs/a")
        assert planned["valid"]
        assert not planned["started"]
        assert planned["command"][:2] == ["jsonnx", "train"]
        assert not (root / "runs").exists()
        started = await call.result("train", spec="spec.json", output="runs/a", dry_run=False)
        status = await call.finished(started["job"])
        assert (status["state"], status["exit_status"]) == ("finished", 0), status
        assert any("epoch 2/2" in line for line in status["log"])
        assert json.loads((root / "runs/a/spec.json").read_text())["training"]["trackers"] == []
        assert "mae" in (await call.result("evaluate", model="runs/a"))["figures"]
        first = await call.result("predict", model="runs/a", data="data/diabetes_test.csv", limit=2)
        assert (len(first["items"]), first["next_offset"]) == (2, 2)
        rest = await call.result("predict", model="runs/a", data="data/diabetes_test.csv", offset=first["total"] - 1)
        assert (len(rest["items"]), rest["next_offset"]) == (1, None)
        await call.result("predict", model="runs/a", data="data/diabetes_test.csv", output="all.csv")
        assert len((root / "all.csv").read_text().splitlines()) == first["total"] + 1
        again = await call.result("train", spec="spec.json", output="runs/a", dry_run=False)
        failed = await call.finished(again["job"])
        assert (failed["state"], failed["exit_status"]) == ("failed", 2), failed  # the folder has a run
        jobs = await call.result("status")
        assert [job["state"] for job in jobs["items"]] == ["finished", "failed"]
        checked = await call.result("train", spec=str(root / "spec.json"), data="absent.csv", dry_run=False)
        assert not checked["started"]

    talk(root, conversation)


def process_ids(root: Path) -> list[int]:
    """The processes that train in a folder."""
    lines = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [int(line.split()[0]) for line in lines if "supervised_command" in line and "long.json" in line]


def wait_until_ended(root: Path, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while process_ids(root) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert process_ids(root) == []


def test_a_job_is_cancelled_and_can_be_resumed(root: Path) -> None:
    async def conversation(call: Caller) -> None:
        started = await call.result("train", spec="long.json", output="runs/long", dry_run=False)
        while not (root / "runs/long/metrics.jsonl").exists():
            await anyio.sleep(0.1)
        await call.result("cancel", job=started["job"])
        status = await call.finished(started["job"])
        assert status["state"] == "cancelled"
        resumed = await call.result("train", spec="long.json", output="runs/long", dry_run=False, resume=True)
        with anyio.fail_after(60):
            while not any("epoch" in line for line in (await call.result("status", job=resumed["job"]))["log"]):
                await anyio.sleep(0.2)

    talk(root, conversation)  # the end of the connection ends the resumed job
    wait_until_ended(root)


@pytest.fixture
def server(root: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "jsonnx", "mcp", "--root", str(root)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    yield process
    with suppress(ProcessLookupError):
        process.kill()
    process.communicate()


def request(server: subprocess.Popen[str], number: int, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Sends a request as text, and returns the answer: every line on standard output is a message of the protocol."""
    assert server.stdin is not None
    assert server.stdout is not None
    message = {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}
    server.stdin.write(json.dumps(message) + "\n")
    server.stdin.flush()
    while (answer := json.loads(server.stdout.readline())).get("id") != number:
        pass
    return answer


def initialize(server: subprocess.Popen[str]) -> None:
    information = {"name": "test", "version": "1"}
    parameters = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": information}
    assert request(server, 0, "initialize", parameters)["result"]["serverInfo"]["name"] == "jsonnx"
    assert server.stdin is not None
    server.stdin.write('{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')
    server.stdin.flush()


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_job_ends_with_a_server_that_is_killed(
    root: Path, server: subprocess.Popen[str], sent: signal.Signals
) -> None:
    initialize(server)
    arguments = {"spec": "long.json", "output": "runs/long", "dry_run": False}
    answer = request(server, 1, "tools/call", {"name": "train", "arguments": arguments})
    assert answer["result"]["structuredContent"]["started"]
    while not (root / "runs/long/metrics.jsonl").exists():
        time.sleep(0.1)
    server.send_signal(sent)
    wait_until_ended(root)


def test_standard_output_belongs_to_the_protocol(server: subprocess.Popen[str]) -> None:
    initialize(server)
    request(server, 1, "tools/call", {"name": "validate", "arguments": {"spec": "{bad"}})
    assert server.stdin is not None
    server.stdin.write("this is no message\n")
    server.stdin.flush()
    request(server, 2, "tools/call", {"name": "evaluate", "arguments": {"model": "absent"}})
    output, errors = server.communicate(timeout=30)
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in output.splitlines())
    assert "Traceback" not in errors


def test_long_results_are_cut_into_pages(root: Path) -> None:
    wrong = {**SPEC, "layers": [{"type": "Dense", "units": 3, f"key_{index}": 1} for index in range(3_000)]}

    async def conversation(call: Caller) -> None:
        checked = await call.result("validate", spec=json.dumps(wrong), limit=500)
        assert checked["errors"] >= 999
        assert len(json.dumps(checked)) < 2 * MAX_PAGE_CHARACTERS
        offset = checked["diagnostics"]["next_offset"]
        assert 0 < offset <= 500
        following = await call.result("validate", spec=json.dumps(wrong), limit=500, offset=offset)
        assert following["diagnostics"]["items"][0] != checked["diagnostics"]["items"][0]

    talk(root, conversation)


def test_a_command_has_limits(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(**options: Any) -> CommandResult:
        return await run_command(CommandFolders(root, root), ["layers", "--format=json"], **options)

    monkeypatch.setattr(command_process, "MAX_OUTPUT_BYTES", 100)
    with pytest.raises(UsageError, match="too-large"):
        anyio.run(lambda: run())
    monkeypatch.undo()
    with pytest.raises(UsageError, match="time-limit"):
        anyio.run(lambda: run(seconds=0.01))
    assert failure_of(CommandResult(-9, b"", b"")).message == "the command ended with status -9"


def test_a_cancelled_call_ends_its_process(root: Path) -> None:
    async def run() -> None:
        with anyio.move_on_after(1.5):
            await run_command(CommandFolders(root, root), ["train", "--output=runs/long", "--", "long.json"])
        assert process_ids(root) == []

    anyio.run(run)


def test_a_large_prediction_is_read_by_lines(tmp_path: Path) -> None:
    file = tmp_path / "predictions.jsonl"
    file.write_text("".join(f'{{"y": {index}}}\n' for index in range(200_000)))
    page = tools._page_of_lines(file, 199_990, 50)
    assert (page["total"], len(page["items"]), page["next_offset"]) == (200_000, 10, None)
