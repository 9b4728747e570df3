"""The command line: parses arguments, calls the pipeline, renders. No logic."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from .diagnostics import CompileError, Diagnostic, UsageError
from .runtime.faults import FeedError
from .validation import Checked, check

Command = TypeVar("Command", bound=Callable[..., Any])

INPUT_IS_WRONG, USAGE_IS_WRONG, OUR_BUG, INTERRUPTED = 1, 2, 70, 130

A_SEED = click.IntRange(0, (1 << 63) - 1)
SPEC = click.argument("spec", metavar="SPEC")
FORMAT = click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people, or for programs.",
)
PROVIDER = click.option(
    "--provider",
    default="cpu",
    show_default=True,
    metavar="NAME",
    help="Where to run: cpu, cuda, webgpu, ... or auto; `jsonnx providers` lists them.",
)
SET = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change the spec: a dotted path and a JSON value, such as training.epochs=3. May be repeated.",
)


def say(text: str) -> None:
    """A result, on standard output. A reader that has gone, as in `| head`, is not our concern."""
    try:
        click.echo(text)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise UsageError("unwritable-file", f"cannot write to standard output: {error.strerror or error}") from error


def tell(text: str) -> None:
    """Progress and diagnostics, on standard error. Where that fails there is nobody to tell."""
    with suppress(OSError):
        click.echo(text, err=True)


def reported(command: Command) -> Command:
    """Turns the errors of the pipeline into diagnostics and the promised exit status."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (CompileError, FeedError) as error:
            fail(error.diagnostics, kwargs, INPUT_IS_WRONG)
        except UsageError as error:
            fail([error.diagnostic], kwargs, USAGE_IS_WRONG)
        except KeyboardInterrupt:
            tell("interrupted")
            sys.exit(INTERRUPTED)
        except MemoryError:
            fail([Diagnostic("out-of-memory", "this machine has too little memory for it")], kwargs, USAGE_IS_WRONG)
        except OSError as error:
            fail([Diagnostic("system-failure", f"the system refuses: {error}")], kwargs, USAGE_IS_WRONG)
        except Exception as error:
            if os.environ.get("JSONNX_DEBUG"):
                raise
            tell(
                f"internal error: {type(error).__name__}: {error}\nThis is a bug of jsonnx; JSONNX_DEBUG=1 shows where."
            )
            sys.exit(OUR_BUG)

    return run  # type: ignore[return-value]


def fail(diagnostics: Sequence[Diagnostic], options: Mapping[str, Any], status: int) -> NoReturn:
    with suppress(UsageError):  # standard output may be what is at fault
        complain(diagnostics, options.get("format_", "text"))
    sys.exit(status)


def complain(diagnostics: Sequence[Diagnostic], format_: str, files: Sequence[str] = ()) -> None:
    """Diagnostics to standard error; to standard output in a format for programs, as the one document that is there."""
    from .render.diagnostics import render

    sources = {d.file: _text(d.file) for d in diagnostics if d.file} if format_ == "text" else {}
    color = format_ == "text" and sys.stderr.isatty()
    (tell if format_ == "text" else say)(render(diagnostics, format_, sources=sources, files=files, color=color))


def _text(file: str) -> str:
    try:
        return Path(file).read_text("utf-8", errors="replace") if Path(file).is_file() else ""
    except OSError:
        return ""


def warn(checked: Checked) -> None:
    """Shows what is doubtful in a spec that is sound."""
    if checked.diagnostics:
        complain(checked.diagnostics, "text")


def checked_spec(spec: str, changes: Sequence[str] = ()) -> Checked:
    """A sound spec with changes applied; warnings are shown. Raises CompileError."""
    checked = check(spec, changes=changes)
    checked.sound  # noqa: B018 (raises)
    warn(checked)
    return checked


class Commands(click.Group):
    """The commands, on streams that take whatever is written to them."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        open_streams()
        return super().main(*arguments, **options)


def open_streams() -> None:
    """Standard streams that exist, and that escape what their encoding lacks.

    Where one was closed, the next file opened would get its number, and what is printed.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            opened = open(os.devnull, mode)  # noqa: SIM115 (open to the end)
            setattr(sys, name, opened)
        elif mode == "w" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def show_version(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted:
        from .backend import package_version

        click.echo(f"jsonnx, version {package_version()}")
        context.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=show_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Write a neural network as a JSON file, get a trained ONNX model."""


@main.command()
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "github", "sarif", "junit"]),
    default="text",
    show_default=True,
    help="For people, programs, GitHub annotations, code scanning or test reports.",
)
@reported
def validate(specs: tuple[str, ...], format_: str) -> None:
    """Show everything that is wrong with specs. Exit status 1 where there is an error, 2 where a file is missing."""
    from .validation import STDIN
    from .validation import validate as faults

    found: list[Diagnostic] = []
    missing = False
    for spec in dict.fromkeys(specs):
        try:
            found += faults(Path(spec) if spec != "-" else spec)
        except UsageError as error:
            found.append(replace(error.diagnostic, file=spec))
            missing = True
    files = [STDIN if spec == "-" else spec for spec in dict.fromkeys(specs)]
    failed = any(diagnostic.severity == "error" for diagnostic in found)
    if format_ == "text" and not found:
        say(f"{len(files)} {'file is' if len(files) == 1 else 'files are'} fine")
    else:
        complain(found, format_, files)
    sys.exit(USAGE_IS_WRONG if missing else INPUT_IS_WRONG if failed else 0)


@main.command()
@SPEC
@FORMAT
@reported
def summary(spec: str, format_: str) -> None:
    """Show a row a layer: name, type, output shape, parameters, multiply-adds; and totals."""
    import json

    from .driver import inference_graph
    from .passes.cost import cost_table
    from .render.tables import summary_json, summary_text

    checked = checked_spec(spec)
    typed = checked.sound
    rows = cost_table(typed, inference_graph(checked))
    if format_ == "json":
        say(json.dumps(summary_json(typed.network, rows), indent=2))
    else:
        say(summary_text(typed.network, rows, color=sys.stdout.isatty()))


@main.command()
@SPEC
@click.option("-o", "--output", required=True, metavar="MODEL.onnx", help="File to write; with --training a folder.")
@click.option("--weights", metavar="FILE", help="A .safetensors or .npz file of weights; else initial weights.")
@click.option("--seed", type=A_SEED, help="Decides the initial weights; the spec's seed where omitted.")
@click.option("--training", is_flag=True, help="Write train_step.onnx, model.onnx and manifest.json into a folder.")
@SET
@reported
def compile(
    spec: str, output: str, weights: str | None, seed: int | None, training: bool, changes: tuple[str, ...]
) -> None:
    """Compile a spec to an ONNX model."""
    from .artifacts import OUTPUTS, write_training_folder
    from .driver import compiled
    from .runtime.files import spare

    checked = checked_spec(spec, changes)
    outputs = [Path(output) / name for name in OUTPUTS] if training else [Path(output)]
    spare([*checked.files, *([Path(weights)] if weights else [])], outputs)
    model = compiled(checked, weights, seed)
    model.verify()
    if training:
        write_training_folder(checked, model, seed, Path(output))
    else:
        model.save(output)
    tell(f"wrote {output}")


@main.command()
@SPEC
@click.option("-o", "--output", metavar="RUN", help="Folder to write; runs/NAME where omitted.")
@click.option("--resume", is_flag=True, help="Go on from the folder's last checkpoint.")
@click.option("--weights", metavar="FILE", help="Start from these weights instead of initial ones.")
@click.option("--seed", type=A_SEED, help="In place of the spec's seed.")
@click.option("--force", is_flag=True, help="Replace a run that is in the folder already.")
@click.option("--quiet", is_flag=True, help="No progress.")
@PROVIDER
@SET
@reported
def train(
    spec: str,
    output: str | None,
    resume: bool,
    weights: str | None,
    seed: int | None,
    force: bool,
    quiet: bool,
    provider: str,
    changes: tuple[str, ...],
) -> None:
    """Train a network on the data its spec names."""
    from .render.progress import progress
    from .run import train as run

    checked = checked_spec(spec, changes)
    with progress(quiet) as shown:
        outcome = run(
            checked,
            Path(output) if output else Path("runs") / checked.network.name,
            provider=provider,
            seed=seed,
            weights=weights,
            resume=resume,
            force=force,
            callbacks=[shown],
            warn=lambda diagnostics: complain(diagnostics, "text") if diagnostics else None,
        )
    for line in outcome.lines():
        say(line)
    sys.exit(outcome.status)


@main.command()
@click.argument("run", metavar="RUN_OR_MODEL")
@click.option("--data", metavar="FILE", help="Data to evaluate on; the spec's test data where omitted.")
@PROVIDER
@FORMAT
@reported
def evaluate(run: str, data: str | None, provider: str, format_: str) -> None:
    """Show loss and metrics of a trained model on data."""
    import json

    from .deployed import Deployed, plain

    figures = Deployed.open(Path(run), provider).evaluate(data)
    if format_ == "json":
        say(json.dumps({name: plain(value) for name, value in figures.items()}))
    else:
        say("\n".join(f"{name} {value:.6g}" for name, value in figures.items()))


@main.command()
@click.argument("run", metavar="RUN_OR_MODEL")
@click.option("--data", required=True, metavar="FILE", help="Data to predict from: .npz, .npy or .csv.")
@click.option(
    "-o", "--output", metavar="OUT", help="File to write, .csv, .json or .npz; csv on standard output where omitted."
)
@PROVIDER
@reported
def predict(run: str, data: str, output: str | None, provider: str) -> None:
    """Write a model's predictions for data."""
    from .deployed import Deployed

    Deployed.open(Path(run), provider).predict(data, output, say)


@main.command()
@click.option("-o", "--output", metavar="FILE", help="File to write; standard output where omitted.")
@reported
def schema(output: str | None) -> None:
    """Print the JSON Schema of specs, for editors and other tools."""
    from .frontend.schema import schema_text
    from .runtime.files import write_atomically

    if output:
        write_atomically(output, schema_text().encode())
    else:
        say(schema_text().rstrip("\n"))


@main.command()
@click.argument("type_", metavar="[TYPE]", required=False)
@reported
def layers(type_: str | None) -> None:
    """Show all layers, or the reference of one."""
    from .diagnostics import suggestion
    from .layers import LAYERS
    from .layers.absent import absent
    from .render.tables import layer_text, layers_text

    if type_ is None:
        say(layers_text())
    elif type_ in LAYERS.names:
        say(layer_text(type_))
    else:
        near = suggestion(type_, LAYERS.names)
        raise UsageError(*(absent(type_) or ("unknown-type", f"there is no layer type {type_!r}", near)))


@main.command()
@click.argument("code", metavar="CODE")
@reported
def explain(code: str) -> None:
    """Explain an error at length, with an example; or why a layer of Keras is not here."""
    from .diagnostics import suggestion
    from .render.explanations import CODES
    from .render.explanations import explain as explanation

    text = explanation(code)
    if text is None:
        raise UsageError(
            "unknown-code", f"there is no error {code!r}", suggestion(code, CODES) or "`docs/errors.md` lists them"
        )
    say(text)


@main.command()
@FORMAT
@reported
def providers(format_: str) -> None:
    """Show which providers this machine can run, and how to get the others."""
    import json

    from .render.tables import providers_text
    from .runtime.providers import available

    rows = available()
    say(json.dumps([row._asdict() for row in rows], indent=2) if format_ == "json" else providers_text(rows))
