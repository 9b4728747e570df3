"""Components: immutable objects with declared, documented attributes.

Layers, initializers, regularizers, constraints, activations, losses, metrics and optimizers are components. One
declaration (`attr`) gives an attribute its JSON Schema, its validation, the editor's completion, its entry in the
reference and its constructor argument. The codecs are exported here as well, so that a declaration needs one import.
"""

from __future__ import annotations

import re
import sys
import types as pytypes
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from functools import cache
from inspect import cleandoc
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    Self,
    TypeVar,
    Union,
    cast,
    dataclass_transform,
    get_origin,
)
from typing import get_args as type_arguments

from .attributes import REQUIRED, Attribute, attr, attribute_schema
from .codecs import (
    ArrayCodec,
    Codec,
    DictCodec,
    IntegerCodec,
    Json,
    NullableCodec,
    NumberCodec,
    ScalarCodec,
    SpatialSizesCodec,
    UnionCodec,
    is_list,
    is_string,
)
from .lazy_table import LazyTable

__all__ = [
    "REQUIRED",
    "ArrayCodec",
    "Attribute",
    "Codec",
    "Component",
    "ComponentCodec",
    "DictCodec",
    "IntegerCodec",
    "Json",
    "NullableCodec",
    "NumberCodec",
    "Registry",
    "ScalarCodec",
    "SectionCodec",
    "SpatialSizesCodec",
    "UnionCodec",
    "attr",
    "codec_for",
    "components_of",
    "is_list",
    "is_string",
    "snake_case",
]


def snake_case(name: str) -> str:
    """A name in snake case, as Keras forms default names: `max_pooling2d` for `MaxPooling2D`."""
    return _WORD_START.sub("_", _SEPARATORS.sub("", name)).lower()


_SEPARATORS = re.compile(r"\W+")
_WORD_START = re.compile(r"(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])")


ComponentClass = TypeVar("ComponentClass", bound="type[Component]")


class Registry:
    """All components of one kind (layers, losses, ...) by the names that a spec may use for them.

    With `snake_case_names` the main name of a component is its class name in snake case (or its first alias), and the
    class name is an alias. With `allow_bare_names` the name alone stands for a component without required attributes.
    `keras_format` gives the name in Keras of components without a `keras_name`.
    `module_by_name` and `name_by_alias` say which modules define components; these modules are imported when needed.
    """

    def __init__(
        self,
        kind: str,
        doc: str,
        *,
        snake_case_names: bool = True,
        allow_bare_names: bool = True,
        keras_format: str = "",
        module_by_name: Mapping[str, str] | None = None,
        name_by_alias: Mapping[str, str] | None = None,
    ) -> None:
        self.kind, self.doc = kind, doc
        self.snake_case_names, self.allow_bare_names = snake_case_names, allow_bare_names
        self.keras_format = keras_format
        modules = dict(module_by_name or {})
        self.members = LazyTable[type[Component]](modules)
        """By main name."""
        self._name_by_alias = dict(name_by_alias or {})
        module_by_alias = {alias: modules[name] for alias, name in self._name_by_alias.items()}
        self.by_name = LazyTable[type[Component]](dict(sorted((modules | module_by_alias).items())))
        """By main name and by alias."""

    def register(self, *aliases: str, name: str | None = None) -> Callable[[ComponentClass], ComponentClass]:
        """A class decorator that adds a component. `name` replaces the class name, `aliases` are further names."""
        given_name = name

        def add(cls: ComponentClass) -> ComponentClass:
            name = given_name or cls.__name__.rstrip("_")
            cls.type_name = (aliases[0] if aliases else snake_case(name)) if self.snake_case_names else name
            if "keras_name" not in vars(cls):
                cls.keras_name = self.keras_format.format(name=cls.type_name, class_name=name)
            self.members.add(cls.type_name, cls)
            for alias in (cls.type_name, *aliases, *((snake_case(name),) if self.snake_case_names else ()), name):
                self.by_name.add(alias, cls)
                self._name_by_alias.setdefault(alias, cls.type_name)
            return cls

        return add

    def names(self) -> dict[str, list[str]]:
        """All names of each component, by its main name."""
        names: dict[str, list[str]] = {}
        for name in self.by_name:
            names.setdefault(self._name_by_alias.get(name, name), []).append(name)
        return names

    def bare_names(self) -> list[str]:
        """The names that may be written in place of an object: of components without required attributes."""
        return [
            name
            for name, component in self.by_name.items()
            if self.allow_bare_names and not component.required_attributes()
        ]

    def __iter__(self) -> Iterator[type[Component]]:
        return iter(self.members.values())


class _AttributeTable:
    """The descriptor of `Component.attributes`: most classes never need their table, so it is made when it is read."""

    def __get__(self, instance: Component | None, owner: type[Component]) -> dict[str, Attribute]:
        if owner._attributes is None:
            inherited: dict[str, Attribute] = {}
            for base in reversed(owner.__mro__):
                inherited = {name: value for name, value in inherited.items() if name not in vars(base)}
                inherited |= base.attributes if base is not owner and issubclass(base, Component) else {}
            owner._attributes = inherited | owner._declared
        return owner._attributes


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(attr,))
class Component:
    """An immutable object with declared attributes that can be read from JSON and written to it.

    A subclass that assigns a plain value to an inherited attribute fixes it: the constructor no longer accepts it.

    Components are not dataclasses, since generating the methods of some hundred dataclasses slows every start down.
    """

    type_name: ClassVar[str] = ""
    keras_name: ClassVar[str] = ""
    """Its name in Keras, with modules; empty if Keras has no such component. Those of a registry have it by default."""
    has_type_key: ClassVar[bool] = True
    """Whether the JSON object names its class under `type`; sections of a spec do not."""
    formula: ClassVar[str] = ""
    """What it computes, as lines of Python with the functions of NumPy; empty if the summary says it all.

    The names are those of the arguments and of the weights. `x` is an input (`x1` and `x2` are two of them), `y` the
    result; losses and metrics have `y_true` and `y_pred`; an optimizer has the weight `w`, its gradient `g` and the
    number `t` of the update, from 1; a schedule has the number `t` of updates done, from 0. `windows` are those of
    convolutions and pooling, [batch, ..., *size, channels]. A bias or factor that a layer lacks counts as 0 or 1, and
    images have their channels last, unless a formula says otherwise.
    """
    attributes: ClassVar[_AttributeTable] = _AttributeTable()
    """The attributes of the class, with inherited ones first."""
    is_python_function: ClassVar[bool] = False
    """Whether it stands for a Python function, which no JSON text can contain: its JSON is an entry in its place."""
    _declared: ClassVar[dict[str, Attribute]] = {}
    _attributes: ClassVar[dict[str, Attribute] | None] = None
    _codecs: ClassVar[dict[str, Codec] | None] = None

    def __init_subclass__(cls) -> None:
        cls._declared = {name: value for name, value in vars(cls).items() if isinstance(value, Attribute)}
        for name in cls._declared:
            delattr(cls, name)
        if "\n" in vars(cls).get("formula", ""):
            cls.formula = cleandoc(cls.formula)
        cls._attributes = None
        cls._codecs = None

    def __init__(self, **values: Any) -> None:
        codecs = self.codecs()
        for name in values:
            if name not in codecs:
                raise TypeError(f"{self.type_name} has no attribute {name!r}")
        for name, attribute in self.attributes.items():
            value = values.get(name, attribute.default)
            if value is REQUIRED:
                raise TypeError(f"{self.type_name} needs {name!r}")
            vars(self)[name] = codecs[name].read(value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{self.type_name} is frozen")

    def replaced(self, **values: Any) -> Self:
        """A copy with other values of some attributes."""
        changed = copy(self)
        vars(changed).update(values)
        return changed

    @classmethod
    def codecs(cls) -> dict[str, Codec]:
        """The codec of every attribute, derived from its type hint."""
        if cls._codecs is None:
            hints = {
                name: (base.__module__, hint) for base in cls.__mro__[::-1] for name, hint in _own_annotations(base)
            }
            cls._codecs = {name: _codec_for_annotation(*hints[name]) for name in cls.attributes}
        return cls._codecs

    @classmethod
    def required_attributes(cls) -> list[str]:
        return [name for name, attribute in cls.attributes.items() if attribute.default is REQUIRED]

    @classmethod
    def summary(cls) -> str:
        """The first paragraph of the docstring as one line."""
        return " ".join((cls.__doc__ or "").strip().split("\n\n")[0].split())

    @classmethod
    def schema(cls) -> dict[str, Json]:
        """The JSON Schema of the object form."""
        properties: dict[str, Json] = {"type": {"const": cls.type_name}} if cls.has_type_key else {}
        for name, codec in cls.codecs().items():
            properties[name] = attribute_schema(cls.attributes[name], codec)
        return {
            "type": "object",
            "description": cls.summary(),
            "properties": properties,
            "required": [*(["type"] if cls.has_type_key else []), *cls.required_attributes()],
            "additionalProperties": False,
        }

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.type_name, *map(repr, vars(self).values())))

    def __repr__(self) -> str:
        return f"{self.type_name}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def to_json(self) -> dict[str, Json]:
        """The object form without the attributes that have their default value."""
        json_object: dict[str, Json] = {"type": self.type_name} if self.has_type_key else {}
        for name, codec in self.codecs().items():
            value = getattr(self, name)
            default = self.attributes[name].default
            if default is REQUIRED or value != codec.read(default):
                json_object[name] = codec.write(value)
        return json_object

    def replace(self, **changes: Any) -> Self:
        """A copy with some attributes changed. The new values are not validated."""
        copy = object.__new__(type(self))
        for name, value in (vars(self) | changes).items():
            object.__setattr__(copy, name, value)
        return copy


def components_of(value: object) -> Iterator[Component]:
    """Yields the components in a value, at all depths: itself, those among its attributes, and those in tuples."""
    if isinstance(value, Component):
        yield value
        value = tuple(vars(value).values())
    if isinstance(value, tuple):
        for part in value:
            if isinstance(part, (Component, tuple)):
                yield from components_of(part)


class ComponentCodec:
    """A component of a registry: an object with `type` and attributes, or the name alone."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def schema(self) -> dict[str, Json]:
        return {"$ref": f"#/$defs/{self.registry.kind}"}

    def read(self, value: Json) -> Component:
        if isinstance(value, Component):
            return value
        if isinstance(value, str):
            return self.registry.by_name[value]()
        return self.registry.by_name[value["type"]](**{name: item for name, item in value.items() if name != "type"})

    def write(self, value: Component) -> Json:
        json_object = value.to_json()
        is_bare = len(json_object) == 1 and json_object["type"] in self.registry.bare_names()
        return json_object["type"] if is_bare else json_object


class SectionCodec:
    """A component without a `type` key: an object with the attributes of the `section` class."""

    def __init__(self, section: type[Component]) -> None:
        self.section = section

    def schema(self) -> dict[str, Json]:
        return self.section.schema()

    def read(self, value: Json) -> Component:
        return value if isinstance(value, Component) else self.section(**value)

    def write(self, value: Component) -> Json:
        return value.to_json()


SCALAR_CODECS: dict[Any, Callable[[], Codec]] = {
    int: IntegerCodec,
    float: NumberCodec,
    bool: lambda: ScalarCodec(type="boolean"),
    str: lambda: ScalarCodec(type="string"),
}


def _own_annotations(base: type) -> Iterable[tuple[str, str]]:
    return vars(base).get("__annotations__", {}).items()


@cache
def _codec_for_annotation(module: str, hint: str) -> Codec:
    """The codec of a type hint that is written in a module.

    Cached, since many components share a hint, and evaluating each one would take a large part of a validation's time.
    """
    return codec_for(eval(hint, vars(sys.modules[module])) if isinstance(hint, str) else hint)


def codec_for(hint: Any) -> Codec:
    """The codec of a type hint: a scalar, Literal, X | None, a tuple, a component class, Annotated[..., codec].

    Raises TypeError for any other hint.
    """
    if hint in SCALAR_CODECS:
        return SCALAR_CODECS[hint]()
    origin, arguments = get_origin(hint), type_arguments(hint)
    if origin is Annotated:
        return cast(Codec, arguments[1])
    if origin is Literal:
        return ScalarCodec(type="string", enum=list(arguments))
    if origin in (Union, pytypes.UnionType) and type(None) in arguments:
        (value_hint,) = (argument for argument in arguments if argument is not type(None))
        return NullableCodec(codec_for(value_hint))
    if origin is tuple:
        return ArrayCodec(codec_for(arguments[0]), None if arguments[-1] is Ellipsis else len(arguments))
    registry = getattr(hint, "registry", None)
    if isinstance(registry, Registry):
        return ComponentCodec(registry)
    if isinstance(hint, type) and issubclass(hint, Component) and not hint.has_type_key:
        return SectionCodec(hint)
    raise TypeError(f"there is no codec for the type hint {hint!r}")
