"""docs/llms.txt: the language and the signatures of all components on one page, for programs that write specs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from ... import library
from ...core.components import REQUIRED, Component, Json
from ...frontend.schema.schema import root_schema
from .component_reference import KINDS, kind_title
from .layer_groups import grouped_layers
from .llms_text import CALLS, LANGUAGE

OMITTED_ARGUMENTS = """
    trainable activity_regularizer seed data_format unroll zero_output_for_mask use_cudnn flash_attention value_range
    fill_mode fill_value interpolation antialias dtype idf_weights oov_method vocabulary_dtype start_index
    use_query_bias use_key_bias use_value_bias use_output_bias layer_norm_epsilon renorm renorm_clipping renorm_momentum
    beta_fast beta_slow denominator_dim truncate sequence_axis feature_axis original_max_position_embeddings
    ref_power min_power mag_exp power_to_db top_db min_freq max_freq sequence_length periodic scaling expand_dims
    graph sha256 truncation_side add_special_tokens return_attention_scores rope_max_wavelength unit_forget_bias
    reset_after x x1 x2
"""
"""Optional arguments of layers and blocks that the page explains once, or that a spec hardly needs."""

OMITTED_SUFFIXES = ("_initializer", "_regularizer", "_constraint")

SHARED_ARGUMENTS = {
    "loss": "reduction axis",
    "metric": """
        name axis num_thresholds ignore_class sparse_y_true sparse_y_pred summation_method num_labels label_weights
    """,
    "initializer": "seed input_axes output_axes",
    "optimizer": """
        weight_decay exclude_from_weight_decay clipnorm clipvalue global_clipnorm use_ema ema_momentum
        ema_overwrite_frequency gradient_accumulation_steps epsilon muon_a muon_b muon_c adam_beta_1 adam_beta_2
        adam_weight_decay adam_lr_ratio rms_rate ns_steps slot_dtype
    """,
}
"""Optional arguments of other components that are left out, by kind; the headings name the important ones."""

HEADINGS = {
    "metric": "besides: name=null",
    "optimizer": "besides: weight_decay=null, clipnorm=null, clipvalue=null, global_clipnorm=null, use_ema=false, "
    "gradient_accumulation_steps=null, slot_dtype=float32|float16|bfloat16",
    "schedule": "in place of learning_rate; as an object",
}

MAX_CHOICES = 5
"""Maximum number of allowed values of an argument that are listed."""


def llms_page() -> str:
    """The text of docs/llms.txt."""
    lines = [LANGUAGE, *_further_keys(), "", CALLS]
    for title, layers in grouped_layers():
        is_ops = title.startswith("keras.ops")
        calls = [*_joined(_call(layer, "ops." if is_ops else "") for layer in layers)]
        lines.append(f"{title}: {'; '.join(calls)}.")
        summaries = [
            f"{layer.type_name}: {layer.summary()}" for layer in layers if not layer.keras_name.startswith("keras.")
        ]
        lines += summaries
    blocks = [_block_call(type_) for type_ in library.block_types()]
    lines += [
        "",
        "## Blocks of the library, used as types",
        "",
        f"{'; '.join(blocks)}.",
        "",
        "## Values of arguments",
        "",
    ]
    lines += [_kind_line(kind) for kind in KINDS]
    return "\n".join(lines) + "\n"


def _further_keys() -> Iterator[str]:
    """The keys of a spec that the text on the language does not mention."""
    root = root_schema()["properties"]
    training = root["training"]["properties"]
    sections = {"a spec": root, "`training`": training, "`data`": training["data"]["properties"]}
    for name, properties in sections.items():
        keys = [_key(key, schema) for key, schema in properties.items() if f"`{key}`" not in LANGUAGE]
        yield f"Further keys of {name}: {', '.join(keys)}."


def _key(name: str, schema: Mapping[str, Json]) -> str:
    """A key, with the keys of its object: `budget {parameters, opset}`."""
    inner = ", ".join(schema.get("properties", ()))
    return f"{name} {{{inner}}}" if inner else name


def _kind_line(kind: str) -> str:
    """The members of a kind with their arguments."""
    note = f" ({HEADINGS[kind]})" if kind in HEADINGS else ""
    calls = _joined(_call(component, "", SHARED_ARGUMENTS.get(kind, "")) for component in KINDS[kind])
    return f"{kind_title(kind)}{note}: {'; '.join(calls)}."


Call = tuple[str, str]
"""A name, and its arguments in parentheses; empty without arguments."""


def _joined(calls: Iterable[Call]) -> Iterator[str]:
    """Joins neighbours with the same arguments: `Add, Multiply`, `MaxPooling1D/2D/3D(...)`."""
    for arguments, group in groupby(calls, key=lambda call: call[1]):
        names: list[str] = []
        for name, _ in group:
            is_next = bool(names) and name[-2:] in ("2D", "3D") and name[:-2] == names[-1].partition("1D")[0]
            names = [*names[:-1], f"{names[-1]}/{name[-2:]}"] if is_next else [*names, name]
        yield ", ".join(names) + arguments


def _call(component: type[Component], prefix: str = "", omitted: str = OMITTED_ARGUMENTS) -> Call:
    required = component.required_attributes()
    supported = [name for name, attribute in component.attributes.items() if attribute.unsupported is None]
    optional = [name for name in supported if name not in required and not _is_omitted(name, omitted)]
    texts = [_argument(component, name) for name in (*required, *optional)]
    return component.type_name.removeprefix(prefix), f"({', '.join(texts)})" if texts else ""


def _is_omitted(name: str, omitted: str) -> bool:
    return name in omitted.split() or name.endswith(OMITTED_SUFFIXES)


def _argument(component: type[Component], name: str) -> str:
    """`padding=valid|same`: a name with its default or its allowed values; the name alone if it is required."""
    attribute, codec = component.attributes[name], component.codecs()[name]
    choices = [choice for choice in component.schema()["properties"][name].get("enum", ()) if isinstance(choice, str)]
    if attribute.default is REQUIRED:
        return f"{name}={'|'.join(choices)}" if 0 < len(choices) <= MAX_CHOICES else name
    default = codec.write(codec.read(attribute.default))
    others = [choice for choice in choices if choice != default] if len(choices) <= MAX_CHOICES else []
    return f"{name}={'|'.join([_value(default), *others])}"


def _value(value: Json) -> str:
    """A default as JSON, without the quotes of a string and without needless digits."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e6:
        return str(int(value))
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) and value else json.dumps(value, separators=(",", ":"))


def _block_call(type_: str) -> str:
    """A block with its parameters, and with the names of its inputs and results if there are several."""
    block = library.block_definitions(type_)[type_]
    inputs, outputs = block.get("inputs"), block.get("outputs")
    names = [("from", [*inputs] if isinstance(inputs, (list, dict)) else [])]
    names += [("gives", [*outputs] if isinstance(outputs, (list, dict)) else [])]
    notes = [f" {word} {', '.join(texts)}" for word, texts in names if len(texts) > 1]
    return f"{type_}({', '.join(_block_arguments(block['parameters']))}){''.join(notes)}"


def _block_arguments(parameters: Mapping[str, Json]) -> Iterator[str]:
    for name, parameter in parameters.items():
        if "default" not in parameter or not _is_omitted(name, OMITTED_ARGUMENTS):
            yield f"{name}={_value(parameter['default'])}" if "default" in parameter else name
