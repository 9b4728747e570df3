"""The keys of a `config.json`: each is read with its kind and bounds, or is known not to change results."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, NoReturn, TypeVar

from ...core.components import Json
from ...core.diagnostics import Report, quoted_or_list
from ...frontend.json.json_reader import Source
from ...frontend.schema.phrases import short_name, short_repr

MAX_SIZE = 1 << 24
"""The largest size that a configuration may have, such as that of a vocabulary."""
MAX_REPEATED_LAYERS = 1000
"""The most layers of one kind."""

_T = TypeVar("_T")
_REQUIRED: Any = object()

_TOKENS = """
    bos_token_id cls_token_id decoder_start_token_id eos_token_id forced_bos_token_id forced_eos_token_id mask_token_id
    pad_token_id prefix sep_token_id tokenizer_class unk_token_id
"""
_GENERATION = """
    bad_words_ids begin_suppress_tokens cache_implementation diversity_penalty do_sample early_stopping
    encoder_no_repeat_ngram_size exponential_decay_length_penalty length_penalty max_length min_length
    no_repeat_ngram_size num_beam_groups num_beams num_return_sequences output_scores remove_invalid_values
    repetition_penalty return_dict_in_generate suppress_tokens temperature top_k top_p typical_p use_cache
"""
_RECORDS = """
    _attn_implementation _attn_implementation_autoset _commit_hash _model_name_or_path _name_or_path _num_labels
    architectures
    attn_implementation chunk_size_feed_forward dtype finetuning_task gradient_checkpointing id2label
    initializer_cutoff_factor initializer_factor initializer_range keys_to_ignore_at_inference label2id model_type
    name_or_path num_labels output_attentions output_hidden_states output_past pretraining_tp problem_type
    return_dict sbert_ce_default_activation_function sentence_transformers task_specific_params tf_legacy_loss
    torch_dtype torchscript transformers.js_config transformers_version use_bfloat16
"""
NEUTRAL_KEYS = frozenset(f"{_TOKENS} {_GENERATION} {_RECORDS}".split())
"""Keys of every architecture that change neither the values nor the gradients of a network: tokens, generation, element
types, random initial values and records of the program that wrote the file."""

FIXED_KEYS = ("is_encoder_decoder", "add_cross_attention", "tie_encoder_decoder")
"""Keys of every architecture that have to be false."""


class Config:
    """The keys of a configuration, or of an object in it. Each reader raises CompileError at the key's place in the
    file for a value of another kind or out of bounds. `check_all_read` reports the keys that nothing has read."""

    def __init__(self, values: Mapping[str, Json], report: Report, path: tuple[str, ...] = ()) -> None:
        self._values, self._report, self._path = values, report, path
        self._read: set[str] = set()
        self._sections: dict[str, Config] = {}

    @classmethod
    def from_source(cls, source: Source) -> Config:
        """The configuration in a JSON object."""
        assert isinstance(source.value, dict)
        return cls(source.value, Report(source.file, source.locate))

    @property
    def file(self) -> str:
        """The name of the file."""
        return self._report.file or "config.json"

    def has(self, key: str) -> bool:
        """Whether a key is present and not null."""
        return self._values.get(key) is not None

    def integer(self, key: str, default: Any = _REQUIRED, minimum: int = 1, maximum: int = MAX_SIZE) -> Any:
        """An integer; `default`, such as None, if the key is missing or null."""
        value = self._value(key, default)
        if value is default:
            return value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is not int:
            self.fail(key, "wrong-type", f"{key!r} has to be an integer, got {short_repr(value)}")
        if not minimum <= value <= maximum:
            bounds = f"between {minimum:,} and {maximum:,}"
            self.fail(key, "out-of-range", f"{key!r} has to be {bounds}, got {short_repr(value)}")
        return value

    def layer_count(self, key: str) -> int:
        """The number of repeated layers."""
        count: int = self.integer(key, maximum=MAX_REPEATED_LAYERS)
        return count

    def number(self, key: str, default: Any = _REQUIRED, minimum: float = 0.0, maximum: float = 1e12) -> Any:
        """A finite number; `default`, such as None, if the key is missing or null."""
        value = self._value(key, default)
        if value is default:
            return value
        if type(value) not in (int, float):
            self.fail(key, "wrong-type", f"{key!r} has to be a number, got {short_repr(value)}")
        if not isfinite(value) or not minimum <= value <= maximum:
            self.fail(
                key, "out-of-range", f"{key!r} has to be between {minimum:g} and {maximum:g}, got {short_repr(value)}"
            )
        return value

    def rate(self, key: str, default: float = 0.0) -> float:
        """The rate of a dropout."""
        rate: float = self.number(key, default, maximum=0.999)
        return rate

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._value(key, default)
        if not isinstance(value, bool):
            self.fail(key, "wrong-type", f"{key!r} has to be true or false, got {short_repr(value)}")
        return value

    def text(self, key: str, default: Any = _REQUIRED) -> Any:
        """A string; `default`, such as None, if the key is missing or null."""
        value = self._value(key, default)
        if value is not default and not isinstance(value, str):
            self.fail(key, "wrong-type", f"{key!r} has to be a string, got {short_repr(value)}")
        return value

    def choice(self, key: str, choices: Mapping[str, _T], default: str) -> _T:
        """What a word stands for. Another word is an error, which lists the choices."""
        value = self.text(key, default)
        if value not in choices:
            help = f"supported are {quoted_or_list(choices)}"
            self.fail(key, "unsupported-model", f"{key!r} is {short_name(value)}, which jsonnx does not have", help)
        return choices[value]

    def list_of(self, key: str, kind: type[_T], default: Any = _REQUIRED, max_length: int = 1 << 16) -> Any:
        """A list of integers (`int`), strings (`str`), numbers (`float`) or true and false (`bool`)."""
        value = self._value(key, default)
        if value is default:
            return value
        kinds = (int, float) if kind is float else (kind,)
        if not isinstance(value, list) or any(type(item) not in kinds for item in value):
            nouns = {int: "integers", str: "strings", float: "numbers", bool: "true and false"}
            self.fail(key, "wrong-type", f"{key!r} has to be a list of {nouns[kind]}, got {short_repr(value)}")
        if len(value) > max_length:
            self.fail(key, "out-of-range", f"{key!r} has {len(value):,} items, at most {max_length:,} are read")
        return value

    def is_list(self, key: str) -> bool:
        """Whether the value of a key is a list."""
        return isinstance(self._values.get(key), list)

    def section(self, key: str) -> Config | None:
        """An object with keys of its own, which are checked with these; None if the key is missing or null."""
        value = self._value(key, None)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.fail(key, "wrong-type", f"{key!r} has to be an object, got {short_repr(value)}")
        return self._sections.setdefault(key, Config(value, self._report, (*self._path, key)))

    def expect(self, key: str, *values: Json) -> None:
        """An option of which only these values are supported. A missing key and null count as the first."""
        value = self._value(key, values[0])
        if not any(value == supported and type(value) is type(supported) for supported in values):
            supported = " and ".join(map(short_repr, values))
            message = f"{key!r} is {short_repr(value)}, which changes results, and of which jsonnx has {supported} only"
            self.fail(key, "unsupported-model", message)

    def skip(self, *keys: str) -> None:
        """Keys that change no result of this architecture."""
        self._read.update(keys)

    def rope(self, default_theta: float = 10000.0, layer_type: str | None = None) -> Config:
        """The options of the rotary embedding, with the keys `rope_theta`, `rope_type` and further ones.

        This is `rope_parameters` of version 5 of transformers, with `layer_type` its part for this type of layers, if
        it has such parts. Of version 4, it is made of `rope_theta` and `rope_scaling`.
        """
        section = self.section("rope_parameters")
        if section is not None:
            self.skip("rope_theta", "rope_scaling")  # version 5 may repeat them
            is_nested = layer_type is not None and isinstance(section._values.get(layer_type), dict)
            return section.section(layer_type) or section if layer_type is not None and is_nested else section
        scaling = self.section("rope_scaling")
        values = {} if scaling is None else {"rope_type": scaling._values.get("type"), **scaling._values}
        values.pop("type", None)
        if scaling is not None:
            scaling.skip(*scaling.keys())
        theta = self.number("rope_theta", default_theta, minimum=1.0)
        path = self._path if scaling is None else scaling._path
        return self._sections.setdefault(
            f"rope {layer_type}", Config({"rope_theta": theta, **values}, self._report, path)
        )

    def require_multiple(self, key: str, size: int, divisor_key: str, divisor: int) -> None:
        """Raises CompileError unless a size is a multiple of another one."""
        if size % divisor:
            self.fail(
                key, "invalid-value", f"{key!r} is {size:,}, which is no multiple of {divisor_key!r}, {divisor:,}"
            )

    def keys(self) -> list[str]:
        """All keys of the object."""
        return list(self._values)

    def check_all_read(self) -> None:
        """Raises CompileError that names each key which was not read and may change results."""
        for key in FIXED_KEYS:
            self.expect(key, False)
        self._report_unread()
        self._report.raise_errors()

    def fail(self, key: str, code: str, message: str, help: str | None = None) -> NoReturn:
        """Raises CompileError at a key."""
        self._report.add(code, (*self._path, key), message, help=help)
        self._report.raise_errors()
        raise AssertionError

    def _value(self, key: str, default: Any) -> Any:
        self._read.add(key)
        value = self._values.get(key)
        if value is None and default is _REQUIRED:
            self._report.add("missing-key", self._path, f"the key {key!r} is missing")
            self._report.raise_errors()
        return default if value is None else value

    def _report_unread(self) -> None:
        for key, value in self._values.items():
            if key in self._read or key in NEUTRAL_KEYS or value in (None, [], {}):
                continue
            message = f"the key {short_name(key)} may change results, and is unknown for this architecture"
            help = "remove it from a copy of the file if it has no effect on the results of this model"
            self._report.add("unsupported-model", (*self._path, key), message, help=help, at_key=True)
        for section in self._sections.values():
            section._report_unread()
