"""Parses the model JSON of Keras 1 to 3 into layers and calls, without interpreting layer arguments.

Unexpected values are reported at their positions. Keras 3 writes a call as `{"args", "kwargs"}` with tagged tensors,
Keras 1 and 2 as `[["layer", call, output, kwargs], ...]`. A Sequential is an object with `layers`, or a list before
Keras 2.2.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ....core.components import Json
from ....core.diagnostics import JsonPath, Report
from ....core.limits import MAX_KERAS_LAYERS
from ....frontend.schema.phrases import short_name

MODEL_CLASSES = ("Sequential", "Functional", "Model")
"""The model classes."""


LAYER_KEYS = ("class_name", "config", "inbound_nodes")
"""The keys of a layer."""

MODEL_CONFIG_KEYS = ("layers", "input_layers", "output_layers")
"""The keys of a functional model's configuration."""

TENSOR_REF_FORM = "a tensor is a list: the layer's name, the number of the call, the number of the output"

SIMILAR_KERAS_KEYS = ("name", "build_config", "compile_config")
"""Keys of Keras that resemble one of the above, but are not misspelt."""


class TensorRef(NamedTuple):
    """A reference to a tensor: an output of a call of a layer."""

    layer: str
    call_index: int
    output_index: int
    path: JsonPath
    shape: Json = None
    dtype: Json = None
    """Shape and element type, which Keras 3 records."""


class Slice(NamedTuple):
    """A slice `start:stop:step` of an axis."""

    start: Any
    stop: Any
    step: Any


class SerializedObject(NamedTuple):
    """A serialized object that is not a tensor: its class, and the object as written."""

    class_name: str
    value: Mapping[str, Json]


ELLIPSIS = SerializedObject("__ellipsis__", {})


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer; tensors among the arguments are `TensorRef`s."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    path: JsonPath


@dataclass(frozen=True)
class LayerConfig:
    """A layer, an operation or a nested model, as written in the file."""

    name: str
    class_name: str
    config: Mapping[str, Json]
    path: JsonPath
    module: str | None = None
    registered_name: str | None = None
    calls: tuple[LayerCall, ...] = ()
    inner_model: ModelConfig | None = None
    branches: tuple[ModelConfig, ...] = ()
    """The models that a Merge of Keras 1 combines at the start of a Sequential, each with its own inputs."""
    build_config: Mapping[str, Json] = field(default_factory=dict)
    """The shapes that the layer was built for, if Keras 3 recorded them."""

    @property
    def config_path(self) -> JsonPath:
        return (*self.path, "config")


@dataclass(frozen=True)
class ModelConfig:
    """A model: its layers and, if it is functional, its inputs and outputs in the structure of the file."""

    name: str
    class_name: str
    layers: tuple[LayerConfig, ...]
    path: JsonPath
    inputs: Any = None
    outputs: Any = None
    build_input_shape: Json = None

    @property
    def is_sequential(self) -> bool:
        return self.class_name == "Sequential"

    @property
    def leading_models(self) -> tuple[ModelConfig, ...]:
        """The models at the start of a Sequential, whose inputs are the model's inputs."""
        first = self.layers[0] if self.is_sequential and self.layers else None
        if first is None:
            return ()
        return first.branches or ((first.inner_model,) if first.inner_model is not None else ())

    @property
    def input_count(self) -> int:
        """The number of inputs."""
        if not self.is_sequential:
            return sum(1 for item in leaves(self.inputs) if isinstance(item, TensorRef))
        return sum(inner.input_count for inner in self.leading_models) or 1

    @property
    def expanded_layer_count(self) -> int:
        """The number of layers of the flat spec: the layers of a nested model count once for each of its calls."""
        count = 0
        for layer in self.layers:
            inner_count = layer.inner_model.expanded_layer_count if layer.inner_model is not None else 1
            branch_count = sum(branch.expanded_layer_count for branch in layer.branches)
            count += max(1, len(layer.calls)) * inner_count + branch_count
        return count


@dataclass
class ModelConfigReader:
    """Parses one document."""

    report: Report
    layers_left: int = field(default=MAX_KERAS_LAYERS)
    """The remaining number of layers."""

    def read_model(self, value: Json, path: JsonPath, name: str | None = None) -> ModelConfig | None:
        """Parses the model at a path; None, with a diagnostic, if it has no layers."""
        kind, config = value.get("class_name"), value.get("config")
        config_path: JsonPath = (*path, "config")
        entries = config if isinstance(config, list) else config.get("layers") if isinstance(config, dict) else None
        layers_path = config_path if isinstance(config, list) else (*config_path, "layers")
        if not isinstance(entries, list):
            is_misspelt = self.report_misspelt_key(value, path, LAYER_KEYS)
            if not is_misspelt and not self.report_misspelt_key(config, config_path, MODEL_CONFIG_KEYS):
                self.report_wrong_form(layers_path, f"a {kind} has a list of layers")
            return None
        if not entries:
            self.report.add("keras-wrong-form", layers_path, f"the {kind} model has no layers")
            return None
        options = config if isinstance(config, dict) else {}
        self.report_misspelt_key(options, config_path, MODEL_CONFIG_KEYS[1:])
        layers = [self.read_layer(entry, (*layers_path, index)) for index, entry in enumerate(entries)]
        config_name = options.get("name")
        return ModelConfig(
            name=name or (config_name if isinstance(config_name, str) else "model"),
            class_name="Sequential" if kind == "Sequential" else "Functional",
            layers=tuple(layer for layer in layers if layer is not None),
            path=path,
            inputs=self.read_tensors(options.get("input_layers"), (*config_path, "input_layers")),
            outputs=self.read_tensors(options.get("output_layers"), (*config_path, "output_layers")),
            build_input_shape=options.get("build_input_shape"),
        )

    def read_layer(self, value: Json, path: JsonPath) -> LayerConfig | None:
        self.layers_left -= 1
        if self.layers_left < 0:
            if self.layers_left == -1:
                self.report.add("too-large", path, f"the model has more than {MAX_KERAS_LAYERS:,} layers")
            return None
        if self.report_misspelt_key(value, path, LAYER_KEYS):
            return None
        kind = value.get("class_name") if isinstance(value, dict) else None
        config = value.get("config", {}) if isinstance(value, dict) else None
        if not isinstance(kind, str) or (not isinstance(config, dict) and kind not in MODEL_CLASSES):
            self.report_wrong_form(path, "a layer is an object with 'class_name' and 'config'")
            return None
        assert isinstance(value, dict)
        name = value.get("name")
        if not isinstance(name, str) and isinstance(config, dict):
            name = config.get("name")
        inner = self.read_model(value, path, name if isinstance(name, str) else None) if kind in MODEL_CLASSES else None
        if kind in MODEL_CLASSES and inner is None:
            return None
        module, registered_name = value.get("module"), value.get("registered_name")
        merged = config.get("layers") if kind == "Merge" and isinstance(config, dict) else None
        branches = self.read_branches(merged, (*path, "config", "layers"))
        return LayerConfig(
            name=name if isinstance(name, str) else inner.name if inner else "",
            class_name=kind,
            config=config if isinstance(config, dict) else {},
            path=path,
            module=module if isinstance(module, str) else None,
            registered_name=registered_name if isinstance(registered_name, str) else None,
            calls=self.read_calls(value.get("inbound_nodes"), (*path, "inbound_nodes")),
            inner_model=inner,
            branches=branches,
            build_config=value["build_config"] if isinstance(value.get("build_config"), dict) else {},
        )

    def read_branches(self, entries: Json, path: JsonPath) -> tuple[ModelConfig, ...]:
        """Parses the models inside a Merge of Keras 1."""
        branches = []
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            layer = self.read_layer(entry, (*path, index))
            if layer is not None and layer.inner_model is None:
                self.report_wrong_form((*path, index), "a Merge at the start of a Sequential combines models")
            branches += [layer.inner_model] if layer is not None and layer.inner_model is not None else []
        return tuple(branches)

    # -- calls -------------------------------------------------------------------------------------------------------

    def read_calls(self, nodes: Json, path: JsonPath) -> tuple[LayerCall, ...]:
        if nodes is None:
            return ()
        if not isinstance(nodes, list):
            self.report_wrong_form(path, "'inbound_nodes' is a list with one item per call of the layer")
            return ()
        calls = [self.read_call(node, (*path, index)) for index, node in enumerate(nodes)]
        return tuple(call for call in calls if call is not None)

    def read_call(self, node: Json, path: JsonPath) -> LayerCall | None:
        if isinstance(node, dict) and isinstance(node.get("args"), list):
            kwargs = node.get("kwargs", {})
            if isinstance(kwargs, dict):
                args = tuple(self.read_argument(item, (*path, "args", i)) for i, item in enumerate(node["args"]))
                named = {key: self.read_argument(item, (*path, "kwargs", key)) for key, item in kwargs.items()}
                return LayerCall(args, named, path)
        elif isinstance(node, (list, dict)):
            return self.read_legacy_call(node, path)
        self.report_wrong_form(path, "a call is an object with 'args' and 'kwargs', or a list of tensors")
        return None

    def read_argument(self, value: Json, path: JsonPath) -> Any:
        """Parses an argument of a Keras 3 call."""
        if isinstance(value, list):
            return [self.read_argument(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        kind, config = value.get("class_name"), value.get("config")
        if not isinstance(kind, str):
            return {key: self.read_argument(item, (*path, key)) for key, item in value.items()}
        config = config if isinstance(config, dict) else {}
        if kind == "__keras_tensor__":
            ref = self.read_tensor_ref(config.get("keras_history"), (*path, "config", "keras_history"))
            return ref and ref._replace(shape=config.get("shape"), dtype=config.get("dtype"))
        if kind == "__slice__":
            parts = (self.read_argument(config.get(key), (*path, "config", key)) for key in ("start", "stop", "step"))
            return Slice(*parts)
        if kind == "__ellipsis__":
            return ELLIPSIS
        if kind in ("__tensor__", "__numpy__") and "value" in config:
            return config["value"]
        return SerializedObject(kind, value)

    def read_legacy_call(self, node: Json, path: JsonPath) -> LayerCall | None:
        """Parses a call of Keras 1 or 2: the tensors of the first argument, each with all keyword arguments."""
        kwargs: dict[str, Any] = {}

        def read_first_argument(value: Json, value_path: JsonPath) -> Any:
            if isinstance(value, dict):
                return {key: read_first_argument(item, (*value_path, key)) for key, item in value.items()}
            if isinstance(value, list) and value and isinstance(value[0], str):
                if len(value) > 3 and isinstance(value[3], dict):
                    for key, item in value[3].items():
                        kwargs[key] = self.read_legacy_argument(item, (*value_path, 3, key))
                if value[0] == "_CONSTANT_VALUE":
                    return value[2] if len(value) > 2 else None
                return self.read_tensor_ref(value[:3], value_path)
            if isinstance(value, list):
                return [read_first_argument(item, (*value_path, index)) for index, item in enumerate(value)]
            self.report_wrong_form(value_path, TENSOR_REF_FORM)
            return None

        argument = read_first_argument(node, path)
        while isinstance(argument, list) and len(argument) == 1:
            argument = argument[0]
        return LayerCall((argument,), kwargs, path)

    def read_legacy_argument(self, value: Json, path: JsonPath) -> Any:
        """Parses a keyword argument of Keras 2. Any list of a string and two integers counts as a tensor."""
        if isinstance(value, list):
            are_integers = all(isinstance(item, int) and not isinstance(item, bool) for item in value[1:3])
            if len(value) in (3, 4) and isinstance(value[0], str) and are_integers:
                return value[2] if value[0] == "_CONSTANT_VALUE" else self.read_tensor_ref(value[:3], path)
            if len(value) >= 3 and value[0] == "_CONSTANT_VALUE":
                return value[2]
            return [self.read_legacy_argument(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, dict) and set(value) == {"start", "stop", "step"}:
            return Slice(*(self.read_legacy_argument(value[key], (*path, key)) for key in ("start", "stop", "step")))
        if isinstance(value, dict) and value.get("class_name") == "__ellipsis__":
            return ELLIPSIS
        if isinstance(value, dict) and not isinstance(value.get("class_name"), str):
            return {key: self.read_legacy_argument(item, (*path, key)) for key, item in value.items()}
        return SerializedObject(str(value["class_name"]), value) if isinstance(value, dict) else value

    # -- tensors -----------------------------------------------------------------------------------------------------

    def read_tensor_ref(self, value: Json, path: JsonPath) -> TensorRef | None:
        is_triple = isinstance(value, list) and len(value) == 3 and isinstance(value[0], str)
        if not is_triple or not all(isinstance(number, int) and not isinstance(number, bool) for number in value[1:]):
            self.report_wrong_form(path, TENSOR_REF_FORM)
            return None
        return TensorRef(value[0], value[1], value[2], path)

    def read_tensors(self, value: Json, path: JsonPath) -> Any:
        """Parses the inputs or outputs of a functional model: a tensor, or a list or an object of tensors."""
        if value is None:
            return None
        if isinstance(value, dict):
            return {key: self.read_tensors(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list) and value and isinstance(value[0], str):
            return self.read_tensor_ref(value[:3], path)
        if isinstance(value, list):
            return [self.read_tensors(item, (*path, index)) for index, item in enumerate(value)]
        self.report_wrong_form(path, "inputs and outputs are tensors: lists of a layer's name and two numbers")
        return None

    def report_misspelt_key(self, value: Json, path: JsonPath, expected_keys: tuple[str, ...]) -> bool:
        """Reports a key that resembles a missing expected key; returns whether there is one."""
        missing = [key for key in expected_keys if key not in value] if isinstance(value, dict) else []
        for key in value if missing else ():
            is_known = key in LAYER_KEYS + MODEL_CONFIG_KEYS + SIMILAR_KERAS_KEYS
            help = None if is_known else self.report.suggestion(key, missing)
            if help is not None:
                message = f"there is no key {short_name(key)}"
                self.report.add("unknown-key", (*path, key), message, help=help, at_key=True)
                return True
        return False

    def report_wrong_form(self, path: JsonPath, expectation: str) -> None:
        help = "the file is damaged, or not written by Keras: save the model again"
        self.report.add("keras-wrong-form", path, f"this is not the format of Keras: {expectation}", help=help)


def leaves(value: Any) -> Iterator[Any]:
    """Yields the leaves of a structure of lists and objects, in order."""
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, (list, tuple)) and not isinstance(value, (TensorRef, Slice, SerializedObject)):
        for item in value:
            yield from leaves(item)
    else:
        yield value
