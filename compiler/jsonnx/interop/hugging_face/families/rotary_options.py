"""The options of rotary position embeddings, from the keys of a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Any

from ..config import Config
from .layer_values import value_by_layer

ROPE_TYPES = {name: name for name in ("default", "linear", "llama3", "longrope", "yarn")}
"""The kinds of frequencies that layers have. `dynamic` is not among them: that of transformers depends on the length of
the longest sequence so far."""

MAX_FACTOR = 1e6


def rotary_options(config: Config, rope: Config, head_dim: int) -> dict[str, Any]:
    """The options of RotaryEmbedding for the section of a configuration that `Config.rope` gives."""
    rope.expect("partial_rotary_factor", 1.0, 1)
    options: dict[str, Any] = {"max_wavelength": rope.number("rope_theta", 10000.0, minimum=1.0)}
    rope_type = rope.choice("rope_type", ROPE_TYPES, "default")
    if rope_type == "default":
        return options
    if rope_type == "linear":
        return {**options, "scaling_factor": _factor(rope)}
    positions = config.integer("max_position_embeddings")
    length = config.integer("original_max_position_embeddings", None)
    length = length or rope.integer("original_max_position_embeddings", positions)
    rope.skip("original_max_position_embeddings")
    options |= {
        "rope_type": rope_type,
        "scaling_factor": _factor(rope, None if rope_type == "llama3" else positions / length),
        "original_max_position_embeddings": length,
    }
    if rope_type == "llama3":
        return options | {name: rope.number(name, minimum=1e-6) for name in ("low_freq_factor", "high_freq_factor")}
    factor = rope.number("attention_factor", None, maximum=MAX_FACTOR)
    if rope_type == "longrope":
        options |= {name: _pair_factors(rope, name, head_dim // 2) for name in ("short_factor", "long_factor")}
    else:
        beta_fast, beta_slow = rope.number("beta_fast", 32.0), rope.number("beta_slow", 1.0)
        options |= {"beta_fast": beta_fast or 32.0, "beta_slow": beta_slow or 1.0}
        options |= {"truncate": rope.flag("truncate", True)}
        factor = _yarn_amplitude(rope, options["scaling_factor"]) if factor is None else factor
    return options if factor is None else options | {"attention_factor": factor}


def rotary_by_layer(options: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The options of a repeated block whose layers have these."""
    names = dict.fromkeys(name for layer in options for name in layer)
    return {name: value_by_layer([_option(layer, name, options) for layer in options]) for name in names}


def _option(layer: dict[str, Any], name: str, options: Sequence[dict[str, Any]]) -> Any:
    """An option of a layer. One that its kind of frequencies does not read has the value of another layer."""
    unscaled = {"scaling_factor": 1.0, "rope_type": "linear", "attention_factor": None if "rope_type" in layer else 1.0}
    others = (other[name] for other in options if name in other)
    return layer.get(name, unscaled[name] if name in unscaled else next(others))


def _factor(rope: Config, default: float | None = None) -> float:
    factor: float | None = rope.number("factor", default, minimum=1e-6, maximum=MAX_FACTOR)
    return rope.number("factor") if factor is None else factor  # an error: the key is missing


def _pair_factors(rope: Config, name: str, count: int) -> list[float]:
    """The factors of all pairs of features."""
    factors: list[float] = rope.list_of(name, float)
    if len(factors) != count:
        rope.fail(name, "invalid-value", f"{name!r} needs {count} numbers, one for each pair of features")
    return factors


def _yarn_amplitude(rope: Config, factor: float) -> float | None:
    """The factor on rotated features that `mscale` and `mscale_all_dim` give; None for that of YaRN."""
    scales = [rope.number(name, None) for name in ("mscale", "mscale_all_dim")]
    if not all(scales):
        return None
    numerator, denominator = (1.0 if factor <= 1 else 0.1 * scale * log(factor) + 1 for scale in scales)
    return float(numerator / denominator)
