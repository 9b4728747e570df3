"""Folders with an adapter as PEFT saves it: `adapter_config.json` and `adapter_model.safetensors`.

A config says more than this package knows. Keys that change what an adapter computes, and that are not understood, are
errors that name the key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, NoReturn

import numpy as np

from ..core.diagnostics import CompileError, Diagnostic
from ..core.files.run_layout import ADAPTER_FILES
from ..frontend.json.json_reader import Limits, read_text
from .safetensors_file import SafetensorsFile

ARRAYS_FILE, CONFIG_FILE = ADAPTER_FILES
PREFIX = "base_model.model."
"""What the names of all arrays begin with."""
JSON_LIMITS = Limits(max_bytes=1 << 20, max_depth=16, max_containers=10_000, max_keys=20_000)

_READ_KEYS = (
    "peft_type",
    "r",
    "lora_alpha",
    "use_rslora",
    "use_dora",
    "rank_pattern",
    "alpha_pattern",
    "init_lora_weights",
)
_KEYS_WITHOUT_EFFECT = (
    *("auto_mapping", "base_model_name_or_path", "inference_mode", "lora_dropout", "megatron_core", "modules_to_save"),
    *("peft_version", "qalora_group_size", "revision", "target_modules", "task_type", "exclude_modules"),
    *("ensure_weight_tying", "runtime_config"),
)
"""Keys that say how an adapter was trained, or what its arrays tell."""
_NEUTRAL_INITIALIZERS = (True, False, None, "gaussian", "orthogonal", "eva")
"""Values of `init_lora_weights` that leave the weights of the base as they are."""
_LITERAL = re.compile(r"[\w.\-]+")


@dataclass(frozen=True)
class PeftAdapter:
    """An adapter: its arrays by PEFT's names without the prefix, and the settings of its config."""

    arrays: Mapping[str, np.ndarray]
    rank: int
    alpha: float
    use_rslora: bool = False
    use_dora: bool = False
    rank_pattern: Mapping[str, int] | None = None
    alpha_pattern: Mapping[str, float] | None = None

    def scale(self, module: str, rank: int) -> float:
        """The factor of the product of a module's matrices of this rank."""
        alpha = _value_for(module, self.alpha_pattern or {}, self.alpha)
        return alpha / (rank**0.5 if self.use_rslora else rank)


def _value_for(module: str, patterns: Mapping[str, float], default: float) -> float:
    """The value of the first pattern that is the module's name or, without `^`, its end after a dot."""
    for pattern, value in patterns.items():
        name = _literal(pattern)
        if module == name or (not pattern.startswith("^") and module.endswith(f".{name}")):
            return value
    return default


def _literal(pattern: str) -> str:
    """The text that a pattern without operators of regular expressions matches; empty for another pattern."""
    text = pattern.removeprefix("^").removesuffix("$").replace("\\.", ".")
    return text if _LITERAL.fullmatch(text) else ""


def read_adapter(open_file: Callable[[str], IO[bytes]], folder: str) -> PeftAdapter:
    """Reads the adapter of a folder, whose files `open_file` opens by their names; `folder` is its name for messages.

    Raises CompileError for a damaged file and for a key that is not understood, and what `open_file` raises.
    """
    config_path, arrays_path = f"{folder}/{CONFIG_FILE}", f"{folder}/{ARRAYS_FILE}"
    with open_file(CONFIG_FILE) as file:
        source = read_text(file.read(JSON_LIMITS.max_bytes + 1), config_path, JSON_LIMITS)
    config = _Config(source.value, config_path, source.locate)
    with open_file(ARRAYS_FILE) as file:
        try:
            stored = SafetensorsFile(file).arrays()
        except ValueError as error:
            _refuse("damaged-file", f"not a file of arrays: {error}", arrays_path)
    arrays = {}
    for name, array in stored.items():
        if not name.startswith(PREFIX):
            _refuse("damaged-file", f"the array {name!r} does not begin with {PREFIX!r}", arrays_path)
        arrays[name.removeprefix(PREFIX)] = np.asarray(array)
    return config.adapter(arrays)


class _Config:
    """The checked content of a config."""

    def __init__(self, value: Any, file: str, locate: Callable[..., Any]) -> None:
        self._file, self._locate = file, locate
        if not isinstance(value, dict):
            self._refuse("it is not an object")
        self._value: dict[str, Any] = value
        for key, entry in value.items():
            is_known = key in _READ_KEYS or key in _KEYS_WITHOUT_EFFECT or key.startswith(("megatron_", "qalora_"))
            if not is_known and entry not in (None, False, "none", {}, []):
                help = "merge the adapter with PEFT, or train it without this option"
                self._refuse(f"{key!r} is {json.dumps(entry)[:80]}, which is not supported", key, help)
        if value.get("peft_type") != "LORA":
            self._refuse("'peft_type' is not 'LORA'", "peft_type")
        if value.get("init_lora_weights", True) not in _NEUTRAL_INITIALIZERS:
            help = "let PEFT convert it: save_pretrained(..., path_initial_model_for_weight_conversion=...)"
            self._refuse("'init_lora_weights' has changed the weights of the base", "init_lora_weights", help)

    def adapter(self, arrays: Mapping[str, np.ndarray]) -> PeftAdapter:
        """The adapter with these arrays."""
        rank, alpha = self._number("r", 8), self._number("lora_alpha", 8)
        return PeftAdapter(
            arrays,
            int(rank),
            float(alpha),
            self._value.get("use_rslora") is True,
            self._value.get("use_dora") is True,
            {key: int(number) for key, number in self._patterns("rank_pattern").items()},
            self._patterns("alpha_pattern"),
        )

    def _number(self, key: str, default: float) -> float:
        return self._positive(self._value.get(key, default), key)

    def _patterns(self, key: str) -> dict[str, float]:
        patterns = self._value.get(key) or {}
        if not isinstance(patterns, dict):
            self._refuse(f"{key!r} is not an object", key)
        for pattern in patterns:
            if not _literal(pattern):
                help = "write the names of modules"
                self._refuse(f"{key!r} has the regular expression {pattern[:80]!r}, which is not supported", key, help)
        return {pattern: self._positive(number, key) for pattern, number in patterns.items()}

    def _positive(self, number: Any, key: str) -> float:
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 < number < 1e9:
            self._refuse(f"{key!r} is not a positive number", key)
        return float(number)

    def _refuse(self, message: str, key: str | None = None, help: str | None = None) -> NoReturn:
        position = self._locate((key,), True) if key is not None else None
        line, column = (position.line, position.column) if position is not None else (1, 1)
        raise CompileError([Diagnostic("unsupported-adapter", message, "$", self._file, line, column, help)])


def _refuse(code: str, message: str, file: str) -> NoReturn:
    raise CompileError([Diagnostic(code, message, file=file)])


def config_text(
    adapter: PeftAdapter, target_modules: Sequence[str], saved_modules: Sequence[str], base: str | None
) -> str:
    """The content of `adapter_config.json`."""
    config = {
        "alpha_pattern": dict(adapter.alpha_pattern or {}),
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "lora_alpha": adapter.alpha,
        "lora_dropout": 0.0,
        "modules_to_save": list(saved_modules) or None,
        "peft_type": "LORA",
        "r": adapter.rank,
        "rank_pattern": dict(adapter.rank_pattern or {}),
        "target_modules": list(target_modules),
        "task_type": None,
        "use_dora": adapter.use_dora,
        "use_rslora": adapter.use_rslora,
    }
    return json.dumps(config, indent=2) + "\n"
