"""The tensors of a folder, in `model.safetensors` or in shards, which are read one by one."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from ...core.diagnostics import UsageError
from ...core.files.files import error_reason
from ...frontend.schema.phrases import name_list, short_name
from ..bfloat16 import BFLOAT16, widened
from ..read_budget import damaged_file_error, unsafe_file_error
from ..safetensors_file import SafetensorsFile
from .folder import ModelFolder, unsupported
from .translation import Shape, TensorSource

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
PICKLE_FILES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.bin")
PICKLE_HELP = (
    'convert it in an environment that has PyTorch, where you trust the file: python -c "from transformers import '
    "AutoModel; AutoModel.from_pretrained('FOLDER').save_pretrained('NEW_FOLDER')\""
)


class Checkpoint:
    """The tensors of an open folder. Raises CompileError for a damaged one."""

    def __init__(self, shards: Mapping[str, SafetensorsFile], shard_of: Mapping[str, str], folder: ModelFolder) -> None:
        self._shards, self._shard_of, self._folder = shards, shard_of, folder
        self._stored_names = {_current_name(name, shard_of): name for name in shard_of}
        self.shapes: dict[str, Shape] = {
            name: shards[shard_of[stored]].shape(stored) for name, stored in self._stored_names.items()
        }
        """The shapes of all tensors by name."""

    def read(self, name: str) -> np.ndarray:
        """A tensor in memory of its own; float16 and bfloat16 become float32."""
        stored = self._stored_names[name]
        try:
            array = self._shards[self._shard_of[stored]].read(stored)
        except (OSError, ValueError) as error:
            raise damaged_file_error(self.file_of(name), f"the tensor {name!r}: {error_reason(error)}") from error
        if array.dtype == BFLOAT16:
            return widened(array)
        if array.dtype.kind != "f":
            message = f"the tensor {name!r} has elements of type {array.dtype}: quantized weights are not imported"
            raise unsupported(self.file_of(name), message)
        with np.errstate(over="ignore"):
            return array.astype(np.float32, copy=False)

    def weight(self, source: TensorSource) -> np.ndarray:
        """A weight in our layout, in memory of its own."""
        parts = [self.read(name) for name, _ in source.parts]
        array = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return np.ascontiguousarray(source.applied_to(array))

    @property
    def folder_name(self) -> str:
        """The folder, for messages."""
        return os.fspath(self._folder.path)

    def file_of(self, name: str) -> str:
        """The file of a tensor, for messages."""
        return self._folder.file_name(self._shard_of[self._stored_names[name]])


def _current_name(name: str, names: Collection[str]) -> str:
    """The name that a tensor has today: files of old versions call the weights of LayerNorm `gamma` and `beta`."""
    for old, new in (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")):
        current = f"{name.removesuffix(old)}{new}"
        if name.endswith(old) and current not in names:
            return current
    return name


@contextmanager
def open_checkpoint(folder: ModelFolder) -> Iterator[Checkpoint]:
    """The tensors of a folder, whose files are open meanwhile. Raises CompileError, UsageError."""
    shard_of = _shards_by_tensor(folder)
    names = [WEIGHTS_FILE] if shard_of is None else [*dict.fromkeys(shard_of.values())]
    files = []
    try:
        shards = {}
        for name in names:
            files.append(folder.open(name))
            shards[name] = _open_shard(folder, name, files[-1])
        if shard_of is None:
            shard_of = dict.fromkeys(shards[WEIGHTS_FILE].names, WEIGHTS_FILE)
        _check_index(folder, shards, shard_of)
        yield Checkpoint(shards, shard_of, folder)
    finally:
        for file in files:
            file.close()


def _open_shard(folder: ModelFolder, name: str, file: object) -> SafetensorsFile:
    try:
        shard = SafetensorsFile(file)  # type: ignore[arg-type]
    except OSError as error:
        raise UsageError("unreadable-file", f"cannot read {folder.file_name(name)!r}: {error_reason(error)}") from error
    except ValueError as error:
        raise damaged_file_error(folder.file_name(name), f"not a safetensors file: {error}") from error
    folder.budget.take_objects(len(shard.names), f"the tensors of {name!r}")
    return shard


def _shards_by_tensor(folder: ModelFolder) -> dict[str, str] | None:
    """The shard of each tensor; None for a folder with a single file. Raises CompileError for a folder without."""
    if folder.has(WEIGHTS_FILE):
        return None
    if not folder.has(INDEX_FILE):
        pickles = [name for name in PICKLE_FILES if folder.has(name)]
        if pickles:
            message = f"{pickles[0]!r} is a Python pickle, which may contain code: it is not opened"
            raise unsafe_file_error(os.fspath(folder.path), message, PICKLE_HELP)
        message = f"there are no weights: neither {WEIGHTS_FILE!r} nor {INDEX_FILE!r}"
        raise UsageError("unreadable-file", f"{os.fspath(folder.path)!r}: {message}")
    index = folder.read_json(INDEX_FILE).value
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise damaged_file_error(folder.file_name(INDEX_FILE), "it has no object 'weight_map'")
    for name, shard in weight_map.items():
        if not isinstance(shard, str):
            raise damaged_file_error(folder.file_name(INDEX_FILE), f"the file of {short_name(name)} is not a name")
        if shard != os.path.basename(shard) or "\\" in shard or shard in ("", ".", ".."):
            message = f"the index refers to {short_name(shard)}, which is not in its folder"
            raise unsafe_file_error(folder.file_name(INDEX_FILE), message)
        if not shard.endswith(".safetensors"):
            message = f"the index refers to {short_name(shard)}, which is not a safetensors file"
            raise unsafe_file_error(folder.file_name(INDEX_FILE), message, PICKLE_HELP)
    return {name: str(shard) for name, shard in weight_map.items()}


def _check_index(folder: ModelFolder, shards: Mapping[str, SafetensorsFile], shard_of: Mapping[str, str]) -> None:
    """Raises CompileError unless the shards have exactly the tensors that the index lists."""
    listed = {(shard, name) for name, shard in shard_of.items()}
    stored = {(shard, name) for shard, file in shards.items() for name in file.names}
    if missing := sorted(name for _, name in listed - stored):
        raise damaged_file_error(folder.file_name(INDEX_FILE), f"its shards lack {name_list(missing)}")
    if extra := sorted(name for _, name in stored - listed):
        raise damaged_file_error(folder.file_name(INDEX_FILE), f"its shards have {name_list(extra)}, not in the index")
