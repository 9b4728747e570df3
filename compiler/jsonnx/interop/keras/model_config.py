"""The model JSON of any generation of Keras as layers and their calls: nothing is understood yet, only found.

Comes in: the JSON value as written. Goes out: `Model`. Whatever a file holds where something else is expected is
reported at its place. The forms: Keras 3 writes a call as `{"args", "kwargs"}` with tagged tensors, Keras 1 and 2 write
`[["layer", call, output, kwargs], ...]`; a Sequential is an object with `layers`, or a bare list before Keras 2.2.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report
from ...frontend.schema.phrases import quoted

MODELS = ("Sequential", "Functional", "Model")
"""Classes that are networks of layers."""

MOST_LAYERS = 20_000

ENVELOPE = ("class_name", "config", "inbound_nodes")
"""What an object of a layer has."""

ENDS = ("layers", "input_layers", "output_layers")
"""What the configuration of a functional model has."""

LIKE = ("name", "build_config", "compile_config")
"""Keys of Keras' own that look like one of these."""


class Ref(NamedTuple):
    """A tensor: which output of which call of a layer."""

    layer: str
    call: int
    output: int
    path: JsonPath
    shape: Json = None
    dtype: Json = None
    """As Keras 3 writes them beside it."""


class Slice(NamedTuple):
    """Part of an axis, as Python writes `start:stop:step`."""

    start: Any
    stop: Any
    step: Any


class Other(NamedTuple):
    """A serialized object that is no tensor: its class and the object as written."""

    kind: str
    value: Mapping[str, Json]


ELLIPSIS = Other("__ellipsis__", {})


@dataclass(frozen=True)
class Invocation:
    """One call of a layer: arguments in which tensors are `Ref`s."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    path: JsonPath


@dataclass(frozen=True)
class Written:
    """A layer, an operation or a nested model as it is written."""

    name: str
    kind: str
    config: Mapping[str, Json]
    path: JsonPath
    module: str | None = None
    registered: str | None = None
    calls: tuple[Invocation, ...] = ()
    inner: Model | None = None
    branches: tuple[Model, ...] = ()
    """What Keras 1's Merge joins at the beginning of a Sequential, each with inputs of its own."""
    built: Mapping[str, Json] = field(default_factory=dict)
    """The shapes it was built for, where Keras 3 says them."""

    @property
    def config_path(self) -> JsonPath:
        return (*self.path, "config")


@dataclass(frozen=True)
class Model:
    """A network: its layers, and for a functional one which tensors go in and out, in the file's own structure."""

    name: str
    kind: str
    layers: tuple[Written, ...]
    path: JsonPath
    inputs: Any = None
    outputs: Any = None
    build_shape: Json = None
    trainable: bool = True

    @property
    def sequential(self) -> bool:
        return self.kind == "Sequential"

    @property
    def inner_models(self) -> tuple[Model, ...]:
        """Those that stand where the model's own input would."""
        first = self.layers[0] if self.sequential and self.layers else None
        if first is None:
            return ()
        return first.branches or ((first.inner,) if first.inner is not None else ())

    @property
    def arity(self) -> int:
        """How many inputs it takes."""
        if not self.sequential:
            return sum(1 for item in leaves(self.inputs) if isinstance(item, Ref))
        return sum(inner.arity for inner in self.inner_models) or 1


@dataclass
class Reader:
    """Reads one document."""

    report: Report
    left: int = field(default=MOST_LAYERS)
    """How many more layers there may be."""

    def model(self, value: Json, path: JsonPath, name: str | None = None) -> Model | None:
        """The network that stands at a path; None where there is none."""
        kind, config = value.get("class_name"), value.get("config")
        at: JsonPath = (*path, "config")
        entries = config if isinstance(config, list) else config.get("layers") if isinstance(config, dict) else None
        where = at if isinstance(config, list) else (*at, "layers")
        if not isinstance(entries, list):
            known = self.check_keys(value, path, ENVELOPE) or self.check_keys(config, at, ENDS)
            if not known:
                self.wrong(where, f"a {kind} has a list of layers")
            return None
        if not entries:
            self.report.add("keras-wrong-form", where, f"the {kind} model has no layers")
            return None
        options = config if isinstance(config, dict) else {}
        self.check_keys(options, at, ENDS[1:])
        layers = [self.layer(entry, (*where, index)) for index, entry in enumerate(entries)]
        given = options.get("name")
        return Model(
            name=name or (given if isinstance(given, str) else "model"),
            kind="Sequential" if kind == "Sequential" else "Functional",
            layers=tuple(layer for layer in layers if layer is not None),
            path=path,
            inputs=self.ends(options.get("input_layers"), (*at, "input_layers")),
            outputs=self.ends(options.get("output_layers"), (*at, "output_layers")),
            build_shape=options.get("build_input_shape"),
            trainable=options.get("trainable") is not False,
        )

    def layer(self, value: Json, path: JsonPath) -> Written | None:
        self.left -= 1
        if self.left < 0:
            if self.left == -1:
                self.report.add("too-large", path, f"the model has more than {MOST_LAYERS:,} layers")
            return None
        if self.check_keys(value, path, ENVELOPE):
            return None
        kind = value.get("class_name") if isinstance(value, dict) else None
        config = value.get("config", {}) if isinstance(value, dict) else None
        if not isinstance(kind, str) or (not isinstance(config, dict) and kind not in MODELS):
            self.wrong(path, "a layer is an object with 'class_name' and 'config'")
            return None
        assert isinstance(value, dict)
        name = value.get("name")
        if not isinstance(name, str) and isinstance(config, dict):
            name = config.get("name")
        inner = self.model(value, path, name if isinstance(name, str) else None) if kind in MODELS else None
        if kind in MODELS and inner is None:
            return None
        module, registered = value.get("module"), value.get("registered_name")
        joined = config.get("layers") if kind == "Merge" and isinstance(config, dict) else None
        branches = self.branches(joined, (*path, "config", "layers"))
        return Written(
            name=name if isinstance(name, str) else inner.name if inner else "",
            kind=kind,
            config=config if isinstance(config, dict) else {},
            path=path,
            module=module if isinstance(module, str) else None,
            registered=registered if isinstance(registered, str) else None,
            calls=self.calls(value.get("inbound_nodes"), (*path, "inbound_nodes")),
            inner=inner,
            branches=branches,
            built=value["build_config"] if isinstance(value.get("build_config"), dict) else {},
        )

    def branches(self, entries: Json, path: JsonPath) -> tuple[Model, ...]:
        """The models that Keras 1's Merge joins, where they stand in it."""
        found = []
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            layer = self.layer(entry, (*path, index))
            if layer is not None and layer.inner is None:
                self.wrong((*path, index), "a Merge at the beginning of a Sequential joins models")
            found += [layer.inner] if layer is not None and layer.inner is not None else []
        return tuple(found)

    # -- calls -------------------------------------------------------------------------------------------------------

    def calls(self, nodes: Json, path: JsonPath) -> tuple[Invocation, ...]:
        if nodes is None:
            return ()
        if not isinstance(nodes, list):
            self.wrong(path, "'inbound_nodes' is a list, with an item for every call of the layer")
            return ()
        found = [self.call(node, (*path, index)) for index, node in enumerate(nodes)]
        return tuple(call for call in found if call is not None)

    def call(self, node: Json, path: JsonPath) -> Invocation | None:
        if isinstance(node, dict) and isinstance(node.get("args"), list):
            kwargs = node.get("kwargs", {})
            if isinstance(kwargs, dict):
                args = tuple(self.argument(item, (*path, "args", i)) for i, item in enumerate(node["args"]))
                return Invocation(
                    args, {key: self.argument(item, (*path, "kwargs", key)) for key, item in kwargs.items()}, path
                )
        elif isinstance(node, (list, dict)):
            return self.older_call(node, path)
        self.wrong(path, "a call is an object with 'args' and 'kwargs', or a list of tensors")
        return None

    def argument(self, value: Json, path: JsonPath) -> Any:
        """An argument of a call as Keras 3 writes it."""
        if isinstance(value, list):
            return [self.argument(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        kind, config = value.get("class_name"), value.get("config")
        if not isinstance(kind, str):
            return {key: self.argument(item, (*path, key)) for key, item in value.items()}
        config = config if isinstance(config, dict) else {}
        if kind == "__keras_tensor__":
            found = self.ref(config.get("keras_history"), (*path, "config", "keras_history"))
            return found and found._replace(shape=config.get("shape"), dtype=config.get("dtype"))
        if kind == "__slice__":
            parts = (self.argument(config.get(key), (*path, "config", key)) for key in ("start", "stop", "step"))
            return Slice(*parts)
        if kind == "__ellipsis__":
            return ELLIPSIS
        if kind in ("__tensor__", "__numpy__") and "value" in config:
            return config["value"]
        return Other(kind, value)

    def older_call(self, node: Json, path: JsonPath) -> Invocation | None:
        """A call as Keras 1 and 2 write it: the tensors of the first argument, each with the further arguments."""
        further: dict[str, Any] = {}

        def first(value: Json, at: JsonPath) -> Any:
            if isinstance(value, dict):
                return {key: first(item, (*at, key)) for key, item in value.items()}
            if isinstance(value, list) and value and isinstance(value[0], str):
                if len(value) > 3 and isinstance(value[3], dict):
                    further.update({key: self.older_argument(item, (*at, 3, key)) for key, item in value[3].items()})
                if value[0] == "_CONSTANT_VALUE":
                    return value[2] if len(value) > 2 else None
                return self.ref(value[:3], at)
            if isinstance(value, list):
                return [first(item, (*at, index)) for index, item in enumerate(value)]
            self.wrong(at, "a tensor is a list: the layer's name, the number of the call, the number of the output")
            return None

        argument = first(node, path)
        while isinstance(argument, list) and len(argument) == 1:
            argument = argument[0]
        return Invocation((argument,), further, path)

    def older_argument(self, value: Json, path: JsonPath) -> Any:
        """A further argument as Keras 2 writes it, where a tensor is not told from any list of a word and numbers."""
        if isinstance(value, list):
            plain = [isinstance(item, int) and not isinstance(item, bool) for item in value[1:3]]
            if len(value) in (3, 4) and isinstance(value[0], str) and all(plain):
                return value[2] if value[0] == "_CONSTANT_VALUE" else self.ref(value[:3], path)
            if len(value) >= 3 and value[0] == "_CONSTANT_VALUE":
                return value[2]
            return [self.older_argument(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, dict) and set(value) == {"start", "stop", "step"}:
            return Slice(*(self.older_argument(value[key], (*path, key)) for key in ("start", "stop", "step")))
        if isinstance(value, dict) and value.get("class_name") == "__ellipsis__":
            return ELLIPSIS
        if isinstance(value, dict) and not isinstance(value.get("class_name"), str):
            return {key: self.older_argument(item, (*path, key)) for key, item in value.items()}
        return Other(str(value["class_name"]), value) if isinstance(value, dict) else value

    # -- tensors -----------------------------------------------------------------------------------------------------

    def ref(self, value: Json, path: JsonPath) -> Ref | None:
        fits = isinstance(value, list) and len(value) == 3 and isinstance(value[0], str)
        if not fits or not all(isinstance(number, int) and not isinstance(number, bool) for number in value[1:]):
            self.wrong(path, "a tensor is a list: the layer's name, the number of the call, the number of the output")
            return None
        return Ref(value[0], value[1], value[2], path)

    def ends(self, value: Json, path: JsonPath) -> Any:
        """The inputs or outputs of a functional model: one tensor, or a list or an object of such."""
        if value is None:
            return None
        if isinstance(value, dict):
            return {key: self.ends(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list) and value and isinstance(value[0], str):
            return self.ref(value[:3], path)
        if isinstance(value, list):
            return [self.ends(item, (*path, index)) for index, item in enumerate(value)]
        self.wrong(path, "inputs and outputs are tensors: the layer's name and two numbers")
        return None

    def check_keys(self, value: Json, path: JsonPath, known: tuple[str, ...]) -> bool:
        """Whether a key of an object is one of these misspelt, and that one missing; it is reported."""
        missing = [key for key in known if key not in value] if isinstance(value, dict) else []
        for key in value if missing else ():
            help = self.report.suggestion(key, missing) if key not in ENVELOPE + ENDS + LIKE else None
            if help is not None:
                self.report.add("unknown-key", (*path, key), f"there is no key {quoted(key)}", help=help, at_key=True)
                return True
        return False

    def wrong(self, path: JsonPath, what: str) -> None:
        help = "the file is damaged, or not written by Keras: save the model anew"
        self.report.add("keras-wrong-form", path, f"this is not as Keras writes models: {what}", help=help)


def leaves(value: Any) -> Iterator[Any]:
    """What stands in a structure of lists and objects, in its order."""
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, (list, tuple)) and not isinstance(value, (Ref, Slice, Other)):
        for item in value:
            yield from leaves(item)
    else:
        yield value
