"""The options of a training. Each is one record: its names on the command line, in Python and in the files of a run,
its type and its help."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple, TypeVar

T = TypeVar("T")

MAX_SEED = (1 << 63) - 1
MAX_THREADS = 256
MAX_PORT = 65535

Kind = Literal["flag", "text", "texts", "integer", "choice", "files", "folders", "assignments", "fold"]
"""The type of an option's value. A flag sets the opposite of its default; files are `FILE`, or `NAME=FILE` several
times; assignments are texts `KEY=VALUE`."""


class RunKey(NamedTuple):
    """The key under which a run records an option."""

    name: str
    description: str
    is_resolved: bool = False
    """Whether a run records the value that the trainer resolves, such as the provider that `auto` takes."""
    is_in_every_run: bool = True
    """Whether runs of all versions record it."""
    is_environment: bool = False
    """Whether it is a key of `execution.json`, which may differ between two runs of one spec, seed and data."""
    maximum: int | None = None
    """The largest integer in a file; machines differ in what they accept."""


class Record(NamedTuple):
    """The facts about an option besides its name and its default."""

    flags: tuple[str, ...]
    """Its names on the command line."""
    kind: Kind
    help: str
    metavar: str | None = None
    minimum: int = 0
    maximum: int = 0
    choices: tuple[str, ...] = ()
    argument: str | None = None
    """The argument of `jsonnx.Trainer` with the same meaning."""
    changes_spec: bool = False
    """Whether it changes the spec, before a trainer gets it."""
    run_key: RunKey | None = None


class TrainingOption(NamedTuple):
    """An option by its name, which is a field of TrainingOptions."""

    name: str
    default: Any
    record: Record

    @property
    def parameter(self) -> str:
        """The name of its value among the arguments of a command."""
        return self.record.flags[-1].lstrip("-").replace("-", "_") if self.default is True else self.name

    @property
    def has_default_value(self) -> bool:
        """Whether an option that is not given has a value that its help shows."""
        return isinstance(self.default, (str, int)) and self.record.kind != "flag"

    @property
    def run_default(self) -> Any:
        """The value, as JSON, of a run that has not recorded the option."""
        return [] if self.record.kind in ("texts", "assignments") else self.default


def option(default: T, flags: str, kind: Kind, help: str, **more: Any) -> T:
    """A field of TrainingOptions with the record of an option."""
    return field(default=default, metadata={"record": Record(tuple(flags.split()), kind, help, **more)})


@dataclass(frozen=True)
class TrainingOptions:
    """The options of `jsonnx train`, in the order of its help. `jsonnx sweep` gives some of them to its trials."""

    output: str | None = option(
        None,
        "-o --output",
        "text",
        "Folder to write; if omitted, runs/SPEC, runs/SPEC-2, ..., named after the spec's file.",
        metavar="RUN",
    )
    resume: bool = option(
        False,
        "--resume",
        "flag",
        "Continue from the folder's last checkpoint, without -o from that of the spec's newest unfinished run; start "
        "if there is no run yet.",
    )
    locked: bool = option(
        False,
        "--locked",
        "flag",
        "Reproduce the run of jsonnx.lock, which lies beside the spec: with its seed, provider and overrides, and bit "
        "for bit.",
    )
    exact: bool = option(False, "--exact", "flag", "Resume only if the result is the same bit for bit.")
    on_save_error: str = option(
        "stop",
        "--on-save-error",
        "choice",
        "Whether the run ends if a checkpoint cannot be written, or goes on and tries again.",
        choices=("stop", "continue"),
    )
    weights: str | None = option(
        None,
        "--weights",
        "text",
        "Start from these weights, a file or a RUN folder, instead of the spec's weights or the initial ones.",
        metavar="FILE",
        argument="weights",
    )
    partial: bool = option(
        False,
        "--partial",
        "flag",
        "Load the weights that match by name and shape, and initialize the others; prints a table of both.",
        argument="partial",
    )
    verify: bool = option(
        True,
        "--unverified",
        "flag",
        "Accept models and weights that differ from their recorded digests, as after a change by another program.",
        argument="verify",
    )
    seed: int | None = option(
        None,
        "--seed",
        "integer",
        "Override the spec's seed.",
        maximum=MAX_SEED,
        argument="seed",
        run_key=RunKey("seed", "The seed", is_resolved=True),
    )
    data: str | Mapping[str, str] | None = option(
        None,
        "--data",
        "files",
        "Train on this file, folder or pattern instead of the spec's training data; NAME=FILE, repeated, gives each "
        "input and output a file of its own.",
        metavar="FILE",
    )
    validation_data: str | Mapping[str, str] | None = option(
        None,
        "--validation-data",
        "files",
        "Validate on this file, folder or pattern, or on NAME=FILE, repeated, instead of the spec's validation data.",
        metavar="FILE",
    )
    data_roots: tuple[str, ...] = option(
        (),
        "--data-root",
        "folders",
        "Allow data files of this folder, which the spec may name by an absolute path, relative to this folder, or by "
        "a path that leads there, such as ../a.csv. May be repeated.",
        metavar="FOLDER",
        argument="data_roots",
    )
    fold: int | None = option(
        None,
        "--fold",
        "fold",
        "Validate on the fold of this index, from 0, of the spec's `split`; or train on all folds one after another, "
        "in RUN/fold-0, RUN/fold-1, ..., and print the mean of their metrics.",
        metavar="N|all",
        argument="fold",
        changes_spec=True,
    )
    force: bool = option(False, "--force", "flag", "Replace an existing run in the folder.")
    threads: int | None = option(
        None,
        "--threads",
        "integer",
        "Number of threads of a training; by default one for each usable CPU. The same number gives the same result.",
        metavar="N",
        minimum=1,
        maximum=MAX_THREADS,
        argument="threads",
        run_key=RunKey("threads", "The number of threads", is_resolved=True, is_environment=True, maximum=4096),
    )
    quiet: bool = option(False, "--quiet", "flag", "Show no progress.")
    provider: str = option(
        "cpu",
        "--provider",
        "text",
        "onnxruntime provider: cpu, cuda, webgpu, ..., or auto; `jsonnx providers` lists them.",
        metavar="NAME",
        argument="provider",
        run_key=RunKey("provider", "The execution provider", is_resolved=True),
    )
    provider_options: Mapping[str, str | int | bool] | None = option(
        None,
        "--provider-option",
        "assignments",
        "Option of the provider, as in onnxruntime's documentation, such as device_id=1 or use_tf32=1. May be "
        "repeated.",
        metavar="KEY=VALUE",
        argument="provider_options",
        run_key=RunKey(
            "provider_options",
            "Its options that differ from the defaults of jsonnx, such as `use_tf32=1`",
            is_resolved=True,
            is_in_every_run=False,
        ),
    )
    explain_placement: bool = option(
        False,
        "--explain-placement",
        "flag",
        "Tell first which nodes the provider leaves to the CPU, and what it costs.",
    )
    strict: bool = option(False, "--strict", "flag", "Do not train if the provider leaves large nodes to the CPU.")
    report: bool = option(
        False, "--report", "flag", "Write report.html to the folder at the end, as `jsonnx report` does."
    )
    trackers: tuple[str, ...] = option(
        (),
        "--tracker",
        "texts",
        "Send the metrics to this tracker, besides those of the spec; may be repeated.",
        choices=("tensorboard", "mlflow", "wandb"),
    )
    live: bool = option(False, "--live", "flag", "Serve a page with the metrics on this machine while it trains.")
    port: int | None = option(
        None,
        "--port",
        "integer",
        "Port of --live; 0 takes any free one. [default: 8321]",
        metavar="N",
        maximum=MAX_PORT,
    )
    scale: str | None = option(
        None,
        "--scale",
        "text",
        "Use the parameter values of this scale of the spec.",
        metavar="NAME",
        argument="scale",
        changes_spec=True,
        run_key=RunKey("scale", "The scale of `--scale`"),
    )
    changes: tuple[str, ...] = option(
        (),
        "--set",
        "texts",
        "Override a value of the spec: KEY is a parameter or a dotted path, VALUE is JSON, such as width=128 or "
        "training.epochs=3. May be repeated.",
        metavar="KEY=VALUE",
        argument="changes",
        changes_spec=True,
        run_key=RunKey("set", "The overrides of `--set`"),
    )

    def trainer_arguments(self) -> dict[str, Any]:
        """The arguments of `jsonnx.Trainer` besides the spec, which is changed already."""
        return {
            option.record.argument: getattr(self, option.name)
            for option in TRAINING_OPTIONS.values()
            if option.record.argument is not None and not option.record.changes_spec
        }

    def recorded(self) -> dict[str, Any]:
        """The values that a run records as they are, by their keys."""
        return {
            run_key.name: plain(getattr(self, option.name))
            for option, run_key in recorded_options()
            if not run_key.is_resolved
        }

    def changed(self) -> dict[str, Any]:
        """The values that differ from their defaults, as JSON."""
        return {
            option.name: plain(getattr(self, option.name))
            for option in TRAINING_OPTIONS.values()
            if getattr(self, option.name) != option.default
        }

    @classmethod
    def of_changed(cls, values: Mapping[str, Any]) -> TrainingOptions:
        """The options with the values that `changed` returned."""
        given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**given)


TRAINING_OPTIONS = {
    field.name: TrainingOption(field.name, field.default, field.metadata["record"]) for field in fields(TrainingOptions)
}
"""The options by the names of the fields."""
DEFAULT_OPTIONS = TrainingOptions()


def plain(value: Any) -> Any:
    """The value of an option as JSON."""
    return list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value


def option_keys(*, is_environment: bool) -> tuple[str, ...]:
    """The keys of options in `execution.json`, or else in `run.json`."""
    return tuple(run_key.name for _, run_key in recorded_options() if run_key.is_environment == is_environment)


def recorded_options() -> Iterable[tuple[TrainingOption, RunKey]]:
    """The options that a run records, with their keys: first those that it records as they are."""
    recorded = [
        (option, option.record.run_key) for option in TRAINING_OPTIONS.values() if option.record.run_key is not None
    ]
    return sorted(recorded, key=lambda pair: pair[1].is_resolved)
