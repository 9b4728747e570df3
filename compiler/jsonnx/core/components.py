"""What a brick is: a named set of documented attributes, and nothing else.

Layers, initializers, regularizers, constraints, activations, losses, metrics, optimizers are all bricks. From one line
an attribute come its JSON Schema, its check, the editor's completion, the reference page and the constructor. Imports
only `types`' error.
"""

from __future__ import annotations

import re
import sys
import types as pytypes
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    Protocol,
    Self,
    TypeVar,
    Union,
    cast,
    dataclass_transform,
    get_origin,
)
from typing import get_args as type_arguments

Json = Any
"""A JSON value: dict, list, str, int, float, bool or None."""


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED = _Required()


class Attribute(NamedTuple):
    """What the type hint of an attribute cannot say."""

    default: Any
    doc: str
    bounds: Mapping[str, float]
    unsupported: str | None


def attr(
    default: Any = REQUIRED,
    *,
    doc: str,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    unsupported: str | None = None,
) -> Any:
    """Declares an attribute of a brick.

    `minimum` and `maximum` are inclusive bounds, `above` and `below` exclusive ones. `unsupported` says why any value
    but the default cannot be honoured: giving one is an error, never ignored.
    """
    named = {"minimum": minimum, "maximum": maximum, "exclusiveMinimum": above, "exclusiveMaximum": below}
    bounds = {keyword: bound for keyword, bound in named.items() if bound is not None}
    return Attribute(default, doc, bounds, unsupported)


class Codec(Protocol):
    """How a value of some type is written in JSON, and how it is read."""

    def schema(self) -> dict[str, Json]: ...
    def read(self, value: Json) -> Any: ...
    def write(self, value: Any) -> Json: ...


class ScalarCodec:
    """A JSON scalar that stands for itself."""

    def __init__(self, **schema: Json) -> None:
        self._schema = schema

    def schema(self) -> dict[str, Json]:
        return dict(self._schema)

    def read(self, value: Json) -> Any:
        return value

    write = read


class IntegerCodec(ScalarCodec):
    """An integer; `3.0` is one as JSON Schema counts, and is read as 3."""

    def __init__(self) -> None:
        super().__init__(type="integer")

    def read(self, value: Json) -> int:
        return int(value)


class NumberCodec(ScalarCodec):
    def __init__(self) -> None:
        super().__init__(type="number")

    def read(self, value: Json) -> float:
        return float(value)


class NullableCodec:
    """A value or null."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec

    def schema(self) -> dict[str, Json]:
        inner = self.codec.schema()
        if isinstance(inner.get("type"), str):
            inner["type"] = [inner["type"], "null"]
            if "enum" in inner:
                inner["enum"] = [*inner["enum"], None]
            return inner
        if "anyOf" in inner:
            return {"anyOf": [*inner["anyOf"], {"type": "null"}]}
        return {"anyOf": [inner, {"type": "null"}]}

    def read(self, value: Json) -> Any:
        return None if value is None else self.codec.read(value)

    def write(self, value: Any) -> Json:
        return None if value is None else self.codec.write(value)


class ArrayCodec:
    """A list of any length, or of exactly `length`."""

    def __init__(self, codec: Codec, length: int | None = None) -> None:
        self.codec, self.length = codec, length

    def schema(self) -> dict[str, Json]:
        schema: dict[str, Json] = {"type": "array", "items": self.codec.schema()}
        return schema if self.length is None else schema | {"minItems": self.length, "maxItems": self.length}

    def read(self, value: Json) -> tuple[Any, ...]:
        return tuple(self.codec.read(item) for item in value)

    def write(self, value: Any) -> Json:
        return [self.codec.write(item) for item in value]


class SpatialSizesCodec:
    """An integer for every spatial axis, or one integer for all of them, as Keras writes sizes."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def schema(self) -> dict[str, Json]:
        one = {"type": "integer"}
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": self.rank, "maxItems": self.rank}]}

    def read(self, value: Json) -> tuple[int, ...]:
        return (int(value),) * self.rank if isinstance(value, (int, float)) else tuple(map(int, value))

    def write(self, value: tuple[int, ...]) -> Json:
        return value[0] if len(set(value)) == 1 else list(value)


class UnionCodec:
    """The first of several forms that the schema of the value fits; used where Keras takes either."""

    def __init__(self, *codecs: tuple[Callable[[Json], bool], Codec]) -> None:
        self.codecs = codecs

    def schema(self) -> dict[str, Json]:
        return {"anyOf": [form.schema() for _, form in self.codecs]}

    def read(self, value: Json) -> Any:
        return next(form.read(value) for fits, form in self.codecs if fits(value))

    def write(self, value: Any) -> Json:
        return next(form.write(value) for fits, form in self.codecs if fits(value))


def snake_case(name: str) -> str:
    """`MaxPooling2D` as `max_pooling2d`: Keras' default names."""
    spaced = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()


ComponentClass = TypeVar("ComponentClass", bound="type[Component]")


class Registry:
    """All bricks of one kind, by the names a spec may call them.

    A brick is known by its class name; with `snake_case_names` also, and first of all, by that name in snake case; or, where one
    is given, by a `name` of its own.
    """

    def __init__(self, kind: str, doc: str, *, snake_case_names: bool = True, allow_bare_names: bool = True) -> None:
        self.kind, self.doc, self.snake_case_names, self.allow_bare_names = (
            kind,
            doc,
            snake_case_names,
            allow_bare_names,
        )
        self.members: dict[str, type[Component]] = {}
        self.by_name: dict[str, type[Component]] = {}

    def register(self, *aliases: str, name: str | None = None) -> Callable[[ComponentClass], ComponentClass]:
        """A class decorator that adds a brick, under more names if given."""
        own = name

        def add(cls: ComponentClass) -> ComponentClass:
            name = own or cls.__name__.rstrip("_")
            cls.type_name = (aliases[0] if aliases else snake_case(name)) if self.snake_case_names else name
            self.members[cls.type_name] = cls
            for known in (cls.type_name, *aliases, *((snake_case(name),) if self.snake_case_names else ()), name):
                self.by_name.setdefault(known, cls)
            return cls

        return add

    def sort(self) -> None:
        """Orders the members by name, so that no output depends on the order of imports."""
        self.members = dict(sorted(self.members.items()))
        self.by_name = dict(sorted(self.by_name.items()))

    def bare_names(self) -> list[str]:
        """The names that alone are a whole brick, if any are: those whose attributes all have defaults."""
        return [
            name for name, brick in self.by_name.items() if self.allow_bare_names and not brick.required_attributes()
        ]

    def __iter__(self) -> Iterator[type[Component]]:
        return iter(self.members.values())


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(attr,))
class Component:
    """A frozen value with declared attributes, read from JSON and written back.

    A class that sets an inherited attribute to a plain value settles it: it can no longer be given.

    Not a dataclass: making a hundred of those costs a tenth of a second at every start of a command.
    """

    type_name: ClassVar[str] = ""
    has_type_key: ClassVar[bool] = True
    attributes: ClassVar[dict[str, Attribute]] = {}
    _codecs: ClassVar[dict[str, Codec] | None] = None

    def __init_subclass__(cls) -> None:
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Attribute)}
        for name in own:
            delattr(cls, name)
        inherited: dict[str, Attribute] = {}
        for base in reversed(cls.__mro__):
            inherited = {name: value for name, value in inherited.items() if name not in vars(base)}
            inherited |= vars(base).get("attributes", {}) if base is not cls else {}
        cls.attributes = inherited | own
        cls._codecs = None

    def __init__(self, **values: Any) -> None:
        forms = self.codecs()
        for name in values:
            if name not in forms:
                raise TypeError(f"{self.type_name} has no attribute {name!r}")
        for name, attribute in self.attributes.items():
            value = values.get(name, attribute.default)
            if value is REQUIRED:
                raise TypeError(f"{self.type_name} needs {name!r}")
            object.__setattr__(self, name, forms[name].read(value))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{self.type_name} is frozen")

    @classmethod
    def codecs(cls) -> dict[str, Codec]:
        """The form of every attribute, made from its type hint."""
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
        """The first paragraph of the docstring, as one line."""
        return " ".join((cls.__doc__ or "").strip().split("\n\n")[0].split())

    @classmethod
    def schema(cls) -> dict[str, Json]:
        """The JSON Schema of the object form."""
        properties: dict[str, Json] = {"type": {"const": cls.type_name}} if cls.has_type_key else {}
        for name, form in cls.codecs().items():
            properties[name] = _attribute_schema(cls.attributes[name], form)
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
        """The object form with defaults left out."""
        written: dict[str, Json] = {"type": self.type_name} if self.has_type_key else {}
        for name, form in self.codecs().items():
            value = getattr(self, name)
            default = self.attributes[name].default
            if default is REQUIRED or value != form.read(default):
                written[name] = form.write(value)
        return written

    def replace(self, **changes: Any) -> Self:
        """A copy with some attributes changed."""
        copy = object.__new__(type(self))
        for name, value in (vars(self) | changes).items():
            object.__setattr__(copy, name, value)
        return copy


def _attribute_schema(attribute: Attribute, codec: Codec) -> dict[str, Json]:
    if attribute.unsupported is not None:
        return {"const": attribute.default, "description": f"{attribute.doc} {attribute.unsupported}"}
    schema = _with_bounds(codec.schema(), attribute.bounds)
    schema["description"] = attribute.doc
    if attribute.default is not REQUIRED:
        schema["default"] = codec.write(codec.read(attribute.default))
    return schema


def _with_bounds(schema: dict[str, Json], bounds: Mapping[str, float]) -> dict[str, Json]:
    """The schema with bounds on every number in it."""
    if not bounds:
        return schema
    kind = schema.get("type")
    if kind in ("integer", "number") or (isinstance(kind, list) and {"integer", "number"} & set(kind)):
        schema = schema | dict(bounds)
    for inside in ("items", "additionalProperties"):
        if isinstance(schema.get(inside), dict):
            schema = schema | {inside: _with_bounds(schema[inside], bounds)}
    if "anyOf" in schema:
        schema = schema | {"anyOf": [_with_bounds(option, bounds) for option in schema["anyOf"]]}
    return schema


class ComponentCodec:
    """A brick of a family: its name alone, or an object with `type` and attributes."""

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
        written = value.to_json()
        return written["type"] if len(written) == 1 and written["type"] in self.registry.bare_names() else written


class SectionCodec:
    """An untagged brick: an object with its attributes."""

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
    """The form of a hint as it stands in a module. Many bricks share one: evaluating each anew, as typing does, took a
    third of the time of a validation."""
    return codec_for(eval(hint, vars(sys.modules[module])) if isinstance(hint, str) else hint)


def codec_for(hint: Any) -> Codec:
    """The JSON form of a type hint: scalars, Literal, X | None, tuples, brick families, Annotated[..., form]."""
    if hint in SCALAR_CODECS:
        return SCALAR_CODECS[hint]()
    origin, arguments = get_origin(hint), type_arguments(hint)
    if origin is Annotated:
        return cast(Codec, arguments[1])
    if origin is Literal:
        return ScalarCodec(type="string", enum=list(arguments))
    if origin in (Union, pytypes.UnionType) and type(None) in arguments:
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return NullableCodec(codec_for(inner))
    if origin is tuple:
        return ArrayCodec(codec_for(arguments[0]), None if arguments[-1] is Ellipsis else len(arguments))
    family = getattr(hint, "registry", None)
    if isinstance(family, Registry):
        return ComponentCodec(family)
    if isinstance(hint, type) and issubclass(hint, Component) and not hint.has_type_key:
        return SectionCodec(hint)
    raise TypeError(f"no JSON form for {hint!r}")
