"""The data that a RUN folder is evaluated on, in words."""

from __future__ import annotations

from pathlib import Path

from ...core.files.files import display_path
from ...core.files.user_files import file_names
from ..run_folder.run_info import read_run_info
from ..train.run_data import replaced_files
from .trained_model import TrainedModel

MAX_NAMED_FILES = 3
"""Files that the text names."""


def evaluated_data_text(model: TrainedModel) -> str:
    """The part of the data of its run that a model is evaluated on, and its files: `test data (test.csv)`."""
    training = model.checked.network.training
    section = training.data if training is not None else None
    replaced = {} if model.folder is None else replaced_files(model.folder, read_run_info(model.folder)).paths
    split = section.split if section is not None else None
    if section is not None and (section.test is not None or (split is not None and split.test)):
        part, is_split_off = "test", section.test is None
    else:
        has_file = "validation" in replaced or (section is not None and section.validation is not None)
        part, is_split_off = "validation", not has_file
    source = "train" if is_split_off else part
    names = [name for name, _ in section.files(source)] if section is not None else []
    if source in replaced:
        names = [display_path(Path(path)) for path in file_names(replaced[source])]
    more = f" and {len(names) - MAX_NAMED_FILES:,} more" if len(names) > MAX_NAMED_FILES else ""
    files = ", ".join(names[:MAX_NAMED_FILES]) + more
    return f"{part} data ({'split off ' if is_split_off else ''}{files})" if files else f"{part} data"
