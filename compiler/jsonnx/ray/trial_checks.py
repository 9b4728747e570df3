"""Checks on each node of a cluster that trials can run there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..backend import package_version
from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..core.files.files import TEMPORARY_NAME, error_reason
from ..core.files.spec_folders import SpecFolders
from ..core.files.user_files import expand_user_files
from ..pipeline.check.check_paths import check_paths
from ..pipeline.sweep.trial_run import TrialJob
from ..pipeline.train.run_data import DataFiles
from ..sections.data_section import DATA_PARTS
from .cluster import Cluster, Node, cause_of

MAX_ANSWER_SECONDS = 120.0
SHARED_FOLDER_HELP = (
    "the SWEEP folder, the data and the working directory must have the same path on all nodes, as on shared storage"
)


@dataclass(frozen=True)
class NodeCheck:
    """What a node must see: the working directory, a probe file in the SWEEP folder, and the files of the spec."""

    folder: str
    job: TrialJob
    probe: str
    version: str

    def errors(self) -> list[Diagnostic]:
        """Errors of the node on which this is called, which writes an answer beside the probe file."""
        if (version := package_version()) != self.version:
            return [Diagnostic("ray-node", f"it has jsonnx {version}, the search is run by {self.version}")]
        previous = os.getcwd()
        try:
            os.chdir(self.folder)
            path = Path(self.job.folder, TEMPORARY_NAME.format(self.probe))
            if path.read_text() != self.probe:
                raise OSError(f"{str(path)!r} has another content")
            path.with_name(TEMPORARY_NAME.format(f"{self.probe}-{os.getpid()}")).write_text(self.probe)
            return self._file_errors()
        except OSError as error:
            path_text = f"{error.filename!r}: " if error.filename else ""
            message = f"it does not see the same folders: {path_text}{error_reason(error)}"
            return [Diagnostic("ray-node", message, help=SHARED_FOLDER_HELP)]
        finally:
            os.chdir(previous)

    def _file_errors(self) -> list[Diagnostic]:
        """Files that the spec or the user names, and that are missing here."""
        try:
            checked = self.job.checked_spec()
            folders = SpecFolders.of(checked.folder, self.job.training.data_roots)
        except CompileError as error:
            return error.diagnostics
        except UsageError as error:
            return [error.diagnostic]
        replaced = DataFiles.of(self.job.training).paths
        errors = check_paths(checked, folders, [part for part in DATA_PARTS if part not in replaced], "error")
        for files in replaced.values():
            try:
                errors += [_missing(item) for item in expand_user_files(files) if not os.path.exists(item)]
            except UsageError as error:
                errors.append(error.diagnostic)
        return errors


def _missing(path: str) -> Diagnostic:
    return Diagnostic("unreadable-file", f"there is no file {path!r}", help=SHARED_FOLDER_HELP)


def check_nodes(cluster: Cluster, nodes: Sequence[Node], job: TrialJob) -> None:
    """Raises CompileError with the errors of all nodes, each of which names the node."""
    check = NodeCheck(os.getcwd(), job, secrets.token_hex(8), package_version())
    probe = Path(job.folder, TEMPORARY_NAME.format(check.probe))
    probe.write_text(check.probe)
    try:
        calls = [(node.address, _call(cluster, node, check)) for node in nodes]
        errors = [_named(address, error) for address, call in calls for error in _answer(cluster, call)]
        if errors:
            raise CompileError(errors)
    finally:
        for file in probe.parent.glob(TEMPORARY_NAME.format(f"{check.probe}*")):
            with suppress(OSError):
                file.unlink()


def _call(cluster: Cluster, node: Node, check: NodeCheck) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    place = NodeAffinitySchedulingStrategy(node.id, soft=False)
    task = cluster.ray.remote(NodeCheck.errors).options(num_cpus=0, max_retries=0, scheduling_strategy=place)
    return task.remote(check)


def _answer(cluster: Cluster, call: Any) -> list[Diagnostic]:
    exceptions = cluster.ray.exceptions
    try:
        return cluster.ray.get(call, timeout=MAX_ANSWER_SECONDS)
    except exceptions.GetTimeoutError:
        return [Diagnostic("ray-node", f"it has not answered in {MAX_ANSWER_SECONDS:.0f} s")]
    except exceptions.RayError as error:
        return [Diagnostic("ray-node", f"it cannot run jsonnx: {cause_of(error)}")]


def _named(address: str, error: Diagnostic) -> Diagnostic:
    return replace(error, message=f"node {address}: {error.message}")
