"""How a search is carried out, and what must not change when it is resumed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ...backend import package_version
from ...core.diagnostics import CompileError, Diagnostic
from ...core.files.sweep_data import SPEC_FILE, SWEEP_FILE
from ...core.system.cpu_count import checked_thread_count
from ...core.training_options import DEFAULT_OPTIONS, TRAINING_OPTIONS, TrainingOptions
from ...frontend.expansion.overrides import with_overrides
from ...frontend.json.json_reader import STDIN_NAME, read_text
from ...hyperparameter_search.sweep_folder import SweepFolder
from ...sections.sweep_section import SWEEP_KEY
from ..check.sweep_plan import SweepPlan
from ..run.spec_changes import MAX_CHANGES, value_changes
from ..run_folder.run_info import path_from
from ..train.run_data import DataFiles
from .trial_host import TrialHost

Keep = Literal["best", "all"]
LAYOUT_VERSION = 1
"""The version of the layout of SWEEP folders."""
CHANGEABLE_KEYS = ("trials", "time_limit")
"""Keys of `sweep` that may differ when a search is resumed."""


@dataclass(frozen=True)
class SweepOptions:
    """The options of `jsonnx sweep`."""

    jobs: int = 1
    """The number of trials that run at the same time, each in a process of its own."""
    resume: bool = False
    retry_failed: bool = False
    """Whether failed trials are run again when a search is resumed."""
    keep: Keep = "best"
    """The RUN folders to keep: the best trial's, or all."""
    training: TrainingOptions = DEFAULT_OPTIONS
    """The options of each trial."""

    def threads_per_trial(self, host: TrialHost) -> int:
        """Raises TypeError, ValueError."""
        if self.training.threads is not None:
            return checked_thread_count(self.training.threads)
        return host.threads_per_trial(self.jobs)


def start_settings(
    folder: Path, plan: SweepPlan, options: SweepOptions, name: str, is_maximized: bool, threads: int
) -> dict[str, Any]:
    """The content of `sweep.json`: what a search is made from besides its spec."""
    file = plan.original.file
    training = options.training
    spec_folder = Path(file if file is not None and file != STDIN_NAME else ".").parent
    return {
        "jsonnx": package_version(),
        "layout": LAYOUT_VERSION,
        "spec": os.path.basename(file) if file is not None else None,
        "spec_folder": path_from(folder, spec_folder),
        "name": name,
        "metric": plan.section.metric,
        "mode": "max" if is_maximized else "min",
        **training.recorded(),
        "seed": training.seed,
        "provider": training.provider,
        "provider_options": dict(training.provider_options or {}),
        "data_files": DataFiles.of(training).with_paths(lambda path: path_from(folder, Path(path))),
        "threads": threads,
    }


FIXED_OPTIONS = {
    **{key: TRAINING_OPTIONS[key].record.flags[0] for key in ("seed", "provider", "provider_options")},
    "data_files": "--data and --validation-data",
}
"""The keys of `sweep.json` that may not change, by the options that set them."""


def require_same_search(folder: SweepFolder, plan: SweepPlan, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with which a search is resumed: those it was started with.

    Raises CompileError `sweep-changed` if it would be another search, `damaged-file`.
    """
    before = folder.read_settings()
    texts = [
        f"{option} changes from {before.get(key)!r} to {settings[key]!r}"
        for key, option in FIXED_OPTIONS.items()
        if before.get(key) != settings[key]
    ]
    old_spec = read_text(folder.read_spec(), str(folder.path / SPEC_FILE))
    scale, changes, threads = before.get("scale"), before.get("set"), before.get("threads")
    if not (isinstance(scale, str | None) and _is_list_of_texts(changes) and type(threads) is int and threads > 0):
        raise _damaged(folder.path / SWEEP_FILE, "not the description of a sweep")
    if not isinstance(old_spec.value, dict):
        raise _damaged(folder.path / SPEC_FILE, "not a spec")
    old, new = with_overrides(old_spec, scale, changes or [])[0].value, plan.source.value
    texts += [change.text() for change in value_changes(_fixed_part(old), _fixed_part(new))]
    if texts:
        hidden = len(texts) - MAX_CHANGES
        listed = "; ".join([*texts[:MAX_CHANGES], *([f"and {hidden} more changes"] if hidden > 0 else [])])
        message = f"the search in {str(folder.path)!r} was started with another spec or with other options: {listed}"
        help = (
            "resume it as it was started, or choose another folder with -o; only 'trials' and 'time_limit' may change"
        )
        raise CompileError([Diagnostic("sweep-changed", message, file=plan.original.file, help=help)])
    return before | {key: settings[key] for key in ("spec", "spec_folder", "scale", "set")}


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _damaged(file: Path, message: str) -> CompileError:
    return CompileError([Diagnostic("damaged-file", message, file=str(file))])


def _fixed_part(document: Any) -> Any:
    sweep = document.get(SWEEP_KEY)
    if not isinstance(sweep, dict):
        return document
    return document | {SWEEP_KEY: {key: value for key, value in sweep.items() if key not in CHANGEABLE_KEYS}}
