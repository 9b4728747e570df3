"""Folders of sentence-transformers: `modules.json` says how one vector of a sentence follows from those of tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...frontend.schema.phrases import short_name
from .config import Config
from .folder import ModelFolder, unsupported
from .translation import Translation

MODULES_FILE = "modules.json"
POOLING_CONFIG = "config.json"
LAST_HIDDEN_STATE, SENTENCE_EMBEDDING = "last_hidden_state", "sentence_embedding"
POOLED = "pooled"
MAX_MODULES = 16

MEAN: dict[str, Any] = {"type": "GlobalAveragePooling1D", "from": [LAST_HIDDEN_STATE, "attention_mask"]}
FIRST_TOKEN: dict[str, Any] = {"type": "ops.get_item", "from": LAST_HIDDEN_STATE, "key": [":", 0]}
NORMALIZATION: dict[str, Any] = {"type": "UnitNormalization"}

POOLINGS = {"mean": MEAN, "cls": FIRST_TOKEN}
POOLING_FLAGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
UNSUPPORTED_FLAGS = (
    "pooling_mode_max_tokens",
    "pooling_mode_mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens",
    "pooling_mode_lasttoken",
)


def with_sentence_embedding(folder: ModelFolder, translation: Translation) -> Translation:
    """The encoder with the further modules of the folder, as the output `sentence_embedding`. Raises CompileError."""
    file = folder.file_name(MODULES_FILE)
    modules = folder.read_json(MODULES_FILE, list).value
    assert isinstance(modules, list)
    layers = [entry.get("name") for entry in translation.spec["layers"]]
    if len(modules) > MAX_MODULES or LAST_HIDDEN_STATE not in layers:
        raise unsupported(file, "the modules of this model are not imported")
    entries: list[dict[str, Any]] = []
    for module in modules:
        kind, path = _module(file, module)
        if kind == "Transformer" and path in ("", "."):
            continue
        if kind == "Pooling" and not entries:
            entries.append(_pooling(folder, f"{path}/{POOLING_CONFIG}"))
        elif kind == "Normalize" and len(entries) == 1:
            entries.append(NORMALIZATION)
        else:
            help = "remove modules.json from a copy of the folder to import the encoder alone"
            raise unsupported(file, f"the module {short_name(kind)} in {short_name(path)} is not imported", help)
    if not entries:
        return translation
    names = [POOLED, SENTENCE_EMBEDDING][-len(entries) :]
    named = [{"type": entry["type"], "name": name, **entry} for name, entry in zip(names, entries, strict=True)]
    body = translation.up_to(LAST_HIDDEN_STATE, *named)
    return replace(body, features=SENTENCE_EMBEDDING, pooling=(), pooling_weights={})


def _module(file: str, module: Any) -> tuple[str, str]:
    """The class of a module without its package, and its folder."""
    kind = module.get("type") if isinstance(module, dict) else None
    path = module.get("path") if isinstance(module, dict) else None
    if not isinstance(kind, str) or not isinstance(path, str):
        raise unsupported(file, "each module has to have a 'type' and a 'path'")
    return kind.rpartition(".")[2], path


def _pooling(folder: ModelFolder, name: str) -> dict[str, Any]:
    config = Config.from_source(folder.read_json(name))
    config.skip("word_embedding_dimension", "embedding_dimension")
    config.expect("include_prompt", True)
    for flag in UNSUPPORTED_FLAGS:
        config.expect(flag, False)
    modes = [mode for flag, mode in POOLING_FLAGS.items() if config.flag(flag, False)]
    if len(modes) > 1:
        raise unsupported(config.file, "several kinds of pooling at once are not imported")
    if not modes and config.has("pooling_mode_mean_tokens") and not config.has("pooling_mode"):
        raise unsupported(config.file, "none of the kinds of pooling that are imported is true")
    pooling = config.choice("pooling_mode", POOLINGS, modes[0] if modes else "mean")
    config.check_all_read()
    return pooling
