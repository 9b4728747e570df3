"""The tools of the server. Each runs a jsonnx command in the served folder, and returns what it prints as JSON."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import anyio
from pydantic import Field

from ..core.diagnostics import CompileError, UsageError
from ..core.system.cpu_count import thread_count
from ..frontend.schema.phrases import short_name
from .command_process import (
    LONG_SECONDS,
    CommandResult,
    FailedCommand,
    failure_of,
    json_of,
    run_command,
)
from .jobs import Jobs
from .paging import DEFAULT_ITEMS, MAX_ITEMS, page, page_of, paged, shortened
from .served_folder import ServedFolder

Spec = Annotated[
    str,
    Field(description="A spec: the path of its file, or the JSON text itself, which begins with `{`."),
]
SpecFile = Annotated[str, Field(description="The path of a spec's file.")]
Model = Annotated[str, Field(description="The path of a RUN folder or of an ONNX model that jsonnx compiled.")]
Changes = Annotated[
    tuple[str, ...],
    Field(description="Overrides such as `width=128` or `training.epochs=3`: a parameter or a dotted path, and JSON."),
]
Scale = Annotated[str | None, Field(description="The name of one of the spec's `scales`.")]
Data = Annotated[str, Field(description="A data file, a folder, or a pattern such as `data/*.csv`.")]
OptionalData = Annotated[str | None, Field(description="A data file, folder or pattern in place of the spec's data.")]
Offset = Annotated[int, Field(ge=0, description="The first item; `next_offset` of the page before.")]
Limit = Annotated[int, Field(ge=1, le=MAX_ITEMS, description="Items of a page.")]
Output = Annotated[str | None, Field(description="A file to write, beneath the served folder.")]

Result = dict[str, Any]

DEFAULT_RUNS = "runs"
"""The folder of the runs of trainings without `output`."""

SPEC_SUFFIX, PREDICTION_SUFFIXES = ".json", (".csv", ".json", ".jsonl", ".npz")
FMT_HELP = "without `output`, `fmt` returns the text of any JSON"
MIN_COMMANDS = 2
"""Minimum number of commands that may run at once, on machines with one CPU."""

TRAINING_CHANGES = ("training.trackers=[]",)
"""Overrides of every training: a tracker may send metrics to a service, which is not for the client to decide."""


class Tools:
    """The tools, as methods whose names, arguments and docstrings the client sees."""

    def __init__(self, folder: ServedFolder, jobs: Jobs) -> None:
        self.folder, self.jobs = folder, jobs
        self._limiter = anyio.CapacityLimiter(max(MIN_COMMANDS, thread_count()))
        """Holds back commands while as many run as there are CPUs."""

    # -- specs -------------------------------------------------------------------------------------------------------

    async def validate(
        self, spec: Spec, changes: Changes = (), scale: Scale = None, offset: Offset = 0, limit: Limit = DEFAULT_ITEMS
    ) -> Result:
        """Check a spec. Returns all errors and warnings at once, each with code, line, JSON path and help; a spec is
        valid without errors."""
        return self._diagnosed(await self._diagnostics("validate", spec, changes, scale), offset, limit)

    async def lint(
        self, spec: Spec, changes: Changes = (), scale: Scale = None, offset: Offset = 0, limit: Limit = DEFAULT_ITEMS
    ) -> Result:
        """Check a valid spec for what is probably a mistake, such as two Dense layers without an activation between."""
        configuration = self.folder.configuration(None if _is_text(spec) else spec)
        rules = ["--isolated"] if configuration is None else [f"--config={configuration}"]
        return self._diagnosed(await self._diagnostics("lint", spec, changes, scale, rules), offset, limit)

    async def summary(
        self, spec: Spec, changes: Changes = (), scale: Scale = None, offset: Offset = 0, limit: Limit = DEFAULT_ITEMS
    ) -> Result:
        """Show the shape, the parameters and the multiply-adds of each layer of a spec, and the totals."""
        value = json_of(await self._run_on_spec("summary", spec, ["--format=json", *_overrides(changes, scale)]))
        return {**value, "layers": page(value["layers"], offset, limit)}

    async def explain(self, code: Annotated[str, Field(description="The code of a diagnostic.")]) -> Result:
        """Explain the code of a diagnostic, with an example of the mistake and its correction."""
        result = await self._run("explain", ["--", code])
        if result.status:
            raise CompileError([failure_of(result)])
        return {"code": code, "explanation": result.stdout.decode().rstrip("\n")}

    async def layers(
        self,
        name: Annotated[
            str | None,
            Field(description="A layer, loss, metric, optimizer or other component, or a kind such as `optimizers`."),
        ] = None,
        search: Annotated[str | None, Field(description="List what contains this word.")] = None,
        offset: Offset = 0,
        limit: Limit = DEFAULT_ITEMS,
    ) -> Result:
        """Describe one layer or other component with its arguments, shapes and an example; or list all layers, the
        members of a kind, or what contains a word."""
        options = ["--format=json", *([f"--search={search}"] if search is not None else [])]
        value = json_of(await self._run("layers", [*options, "--", *([name] if name is not None else [])]))
        return page(value, offset, limit)

    async def diff(self, old: Spec, new: Spec, offset: Offset = 0, limit: Limit = DEFAULT_ITEMS) -> Result:
        """Compare the networks of two specs, models or RUN folders: layers, parameters, and whether programs that run
        the old model must be changed."""
        if _is_text(old) and _is_text(new):
            raise UsageError("bad-option", "one of `old` and `new` must be a path", "write one of them to a file")
        paths = ["-" if _is_text(side) else self.folder.relative(side) for side in (old, new)]
        text = next((side for side in (old, new) if _is_text(side)), "")
        value = json_of(await self._run("diff", ["--format=json", "--", *paths], _encoded(text)))
        weights = {key: paged(names, offset, limit) for key, names in value["weights"].items()}
        lists = {key: paged(value[key], offset, limit) for key in ("signature", "layers", "training", "budget")}
        return {**value, **lists, "weights": weights}

    async def fmt(
        self,
        spec: Spec,
        output: Output = None,
        drop_nulls: Annotated[bool, Field(description="Leave out keys whose value is null.")] = False,
    ) -> Result:
        """Format a spec canonically. Returns the text; or, with `output`, writes it to that .json file, in place of a
        spec that it may have."""
        file = self.folder.output(output, [SPEC_SUFFIX]) if output is not None else None
        stdin = _encoded(spec) if _is_text(spec) else self._read_spec(spec)
        result = await self._run("fmt", [*(["--drop-nulls"] if drop_nulls else []), "--", "-"], stdin)
        if result.status:
            found = await self._run("validate", ["--format=json", "--", "-"], stdin)
            raise FailedCommand(json_of(found._replace(status=0)))
        text = result.stdout.decode()
        if file is None:
            return {"text": shortened(text)}
        self._write_spec(file, result.stdout)
        return {"output": file, "characters": len(text)}

    # -- training ----------------------------------------------------------------------------------------------------

    async def train(
        self,
        spec: SpecFile,
        output: Annotated[str | None, Field(description="The RUN folder to write; `runs/SPEC` if omitted.")] = None,
        data: OptionalData = None,
        changes: Changes = (),
        scale: Scale = None,
        dry_run: Annotated[
            bool, Field(description="Only check spec and data, and tell the command; false starts the training.")
        ] = True,
        resume: Annotated[bool, Field(description="Continue the run in the folder.")] = False,
        force: Annotated[bool, Field(description="Replace an existing run in the folder.")] = False,
    ) -> Result:
        """Train a spec. Unless `dry_run` is false, it only checks the spec and its data. A training runs as a job:
        returns its name, for `status` and `cancel`. It ends with the server, and can be resumed."""
        file = self.folder.relative(spec)
        data_option = [f"--data={self.folder.data(data)}"] if data is not None else []
        changes = (*changes, *TRAINING_CHANGES)
        options = [*data_option, *_overrides(changes, scale)]
        folder = self.folder.relative(output or DEFAULT_RUNS)
        options += [f"--output={folder}"] if output is not None else []
        options += [flag for flag, is_set in (("--resume", resume), ("--force", force)) if is_set]
        command = ["train", *options, "--", file]
        checks = [*(data_option or ["--spec-data"]), *_overrides(changes, scale)]
        diagnostics = await self._diagnostics("validate", file, [], None, checks)
        has_error = any(diagnostic["severity"] == "error" for diagnostic in diagnostics)
        if dry_run or has_error:
            checked = self._diagnosed(diagnostics, 0, DEFAULT_ITEMS)
            return {"started": False, "dry_run": dry_run, "command": ["jsonnx", *command], **checked}
        return {"started": True, "dry_run": False, **self.jobs.start(command).status(0)}

    async def status(
        self,
        job: Annotated[str | None, Field(description="The name of a job; all jobs if omitted.")] = None,
        lines: Annotated[int, Field(ge=0, le=MAX_ITEMS, description="Last lines of what it printed.")] = 20,
        offset: Offset = 0,
        limit: Limit = DEFAULT_ITEMS,
    ) -> Result:
        """Tell whether a job is running, finished, failed or cancelled, and what it printed last."""
        if job is not None:
            return self.jobs.find(job).status(lines)
        return page([each.status(0) for each in self.jobs.all()], offset, limit)

    async def cancel(self, job: Annotated[str, Field(description="The name of a job.")]) -> Result:
        """End a job. A training writes a checkpoint first, with which `train` can resume it."""
        found = self.jobs.find(job)
        found.ask_to_stop()
        return found.status(0)

    # -- models ------------------------------------------------------------------------------------------------------

    async def evaluate(self, model: Model, data: OptionalData = None) -> Result:
        """Compute loss and metrics of a trained model, on the test data of its spec or on other data. Records them in
        its RUN folder."""
        options = [f"--data={self.folder.data(data)}"] if data is not None else []
        arguments = ["--format=json", *options, "--", self.folder.relative(model)]
        metrics = dict(json_of(await self._run("evaluate", arguments, seconds=LONG_SECONDS)))
        return {"data": metrics.pop("data"), "figures": {name: shortened(metric) for name, metric in metrics.items()}}

    async def predict(
        self, model: Model, data: Data, output: Output = None, offset: Offset = 0, limit: Limit = DEFAULT_ITEMS
    ) -> Result:
        """Compute the outputs of a trained model for data: a page of predictions; or, with `output`, a file of all
        (.csv, .json, .jsonl or .npz), which replaces an existing one."""
        arguments = [f"--data={self.folder.data(data)}", "--", self.folder.relative(model)]
        if output is not None:
            file = self.folder.output(output, PREDICTION_SUFFIXES)
            await self._predict([f"--output={file}", *arguments])
            return {"output": file, "bytes": (self.folder.path / file).stat().st_size}
        with tempfile.TemporaryDirectory(dir=self.jobs.folders.temporary) as folder:
            predictions = Path(folder, "predictions.jsonl")
            await self._predict([f"--output={predictions}", *arguments])
            return _page_of_lines(predictions, offset, limit)

    async def _predict(self, arguments: Sequence[str]) -> None:
        result = await self._run("predict", arguments, seconds=LONG_SECONDS)
        if result.status:
            raise CompileError([failure_of(result)])

    # -- commands ----------------------------------------------------------------------------------------------------

    async def _run(
        self, command: str, arguments: Sequence[str], stdin: bytes = b"", seconds: float | None = None
    ) -> CommandResult:
        options = {} if seconds is None else {"seconds": seconds}
        async with self._limiter:
            return await run_command(self.jobs.folders, [command, *arguments], stdin, **options)

    async def _run_on_spec(self, command: str, spec: str, options: Sequence[str]) -> CommandResult:
        """Runs a command on a spec's file, or on its text as standard input."""
        if _is_text(spec):
            return await self._run(command, [*options, "--", "-"], _encoded(spec))
        return await self._run(command, [*options, "--", self.folder.relative(spec)])

    async def _diagnostics(
        self, command: str, spec: str, changes: Sequence[str], scale: str | None, options: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """The diagnostics that a command prints about a spec."""
        arguments = ["--format=json", *options, *_overrides(changes, scale)]
        result = await self._run_on_spec(command, spec, arguments)
        value: list[dict[str, Any]] = json_of(result._replace(status=0))
        return value

    def _diagnosed(self, diagnostics: list[dict[str, Any]], offset: int, limit: int) -> Result:
        errors = sum(diagnostic["severity"] == "error" for diagnostic in diagnostics)
        return {"valid": errors == 0, "errors": errors, "diagnostics": page(diagnostics, offset, limit)}

    def _read_spec(self, spec: str) -> bytes:
        from ..frontend.json.json_reader import read_bytes

        return read_bytes(str(self.folder.path / self.folder.relative(spec)))

    def _write_spec(self, file: str, text: bytes) -> None:
        """Writes a spec. Raises UsageError `bad-option` if it has keys that no spec has, or would replace another file:
        other programs execute what some JSON files say."""
        from ..core.files.files import write_atomically
        from ..frontend.schema.schema import root_schema
        from ..frontend.text.spec_detection import has_keys_of_a_spec, is_spec_file

        document, path = json.loads(text), self.folder.path / file
        unknown = [key for key in document if key not in root_schema()["properties"]]
        if not has_keys_of_a_spec(document) or unknown:
            found = f"it has the key {short_name(unknown[0])}" if unknown else "it lacks `layers` or `inputs`"
            raise UsageError("bad-option", f"only a spec is written to a file, and this is none: {found}", FMT_HELP)
        if path.exists() and not is_spec_file(str(path)):
            raise UsageError("bad-option", f"{file!r} is not a spec, so it is not replaced", "name another file")
        write_atomically(path, text, follows_links=False)


def _overrides(changes: Sequence[str], scale: str | None) -> list[str]:
    return [*(f"--set={change}" for change in changes), *([f"--scale={scale}"] if scale is not None else [])]


def _encoded(spec: str) -> bytes:
    """The text of a spec; a lone surrogate is left to the command to report."""
    return spec.encode(errors="surrogatepass")


def _is_text(spec: str) -> bool:
    """Whether an argument is the text of a spec, and not a path."""
    return spec.lstrip("\ufeff \t\r\n").startswith("{")


def _page_of_lines(file: Path, offset: int, limit: int) -> Result:
    """A page of a file with one JSON value a line, of which only the page is kept in memory."""
    with open(file, "rb") as lines:
        items = [json.loads(line) for line in islice(lines, offset, offset + limit)]
        total = offset + len(items) + sum(1 for _ in lines)
    return page_of(items, offset, total)
