"""Draws JSON values: by a JSON Schema, with preference for boundary values, or of any kind."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any

from jsonnx.core.components import REQUIRED, Component, Registry
from jsonnx.frontend.schema.schema import REGISTRIES
from jsonnx.layers import LAYERS

Json = Any

REGISTRY_BY_KIND = {registry.kind: registry for registry in (*REGISTRIES, LAYERS)}

SMALL_INTEGERS = (1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 8, 0, -1)
BOUNDARY_INTEGERS = (0, 1, -1, -2, 7, 16, 255, 256, -129, 1000, 65537, 2**31 - 1, 2**31, -(2**31) - 1, 2**53, 2**63)
SMALL_NUMBERS = (0.0, 0.1, 0.25, 0.5, 0.9, 1.0, 1.0, 1.5, 2.0, -0.5, -1.0, 1e-3, 1e-7)
BOUNDARY_NUMBERS = (0, 1, -1, 1e308, -1e308, 1e-308, 5e-324, 3.5e38, 1e39, 0.9999999999999999, 2**53, 10**30)

STRINGS = ("x", "y", "a", "relu", "same", "valid", "channels_first", "int", "float16", "Dense", "ops.mean", "val_loss")
ODD_STRINGS = (
    *("", " ", "NaN", "Infinity", "1e308", "null", "true", "0", "-1", "batch", "*", "?", "[", "a.b", ".", "..", "../x"),
    *("\u00e4\u00f6\u00fc", "\u65e5\u672c", "\u202e", "\ufeffx", "\U0001f600", "\ud83d", "\u0000", "a\nb", "a/b"),
    *("$", "${", "$${", "${x}"),
    *("${1/0}", "${2**99999}", "${x[0]}", "${-}", "${'a'}", "${1e308*10}", "%s", "{0}", "a" * 129, "x" * 300),
    *("loss", "learning_rate", "next/x", "float32", "type", "ij,jk->ik", "...i->...", "ab->", "->", "a,b", ",->"),
)
SIZE_NAMES = ("time", "width", "n")

ANY_VALUES: tuple[Json, ...] = (
    *(None, True, False, [], {}, [[]], [None], [0], [1, 2], [-1], [1, "a"], [[1, 2], [3]], [True], [1.5], ["a", "b"]),
    *({"type": "relu"}, {"type": "Dense", "units": 2}, {"type": None}, {"type": "l2", "l2": -1}),
    *({"": 0}, {"a": {"b": []}}),
    *(["..."], [":"], ["1:"], [[0], [0]], [[0, 0], [1, 1]], [2**31], [1e308], [":", None, -1]),
)


def anything(rng: Random) -> Json:
    """Draws a JSON value of any kind."""
    pools: tuple[tuple[Json, ...], ...] = (
        *(ANY_VALUES, ANY_VALUES, SMALL_INTEGERS, BOUNDARY_INTEGERS, SMALL_NUMBERS, BOUNDARY_NUMBERS),
        *(STRINGS, ODD_STRINGS),
    )
    return rng.choice(rng.choice(pools))


class Draws:
    """Draws values for the arguments of one layer, loss, metric or optimizer.

    `sizes` are the sizes of the layer's inputs, `rank` the rank of the first one; they make more arguments valid.
    `boundary` is the probability of a value at or beyond a boundary, in place of a small one.
    """

    def __init__(self, rng: Random, sizes: tuple[int, ...] = (), rank: int = 2, boundary: float = 0.05) -> None:
        self.rng, self.sizes, self.rank, self.boundary = rng, sizes, rank, boundary

    def component(self, registry: Registry, depth: int = 0) -> Json:
        """Draws a component of a registry, as a name or as an object."""
        rng = self.rng
        if rng.random() < 0.4 and registry.bare_names():
            return rng.choice(registry.bare_names())
        members = [*registry.members.values()]
        kind = rng.choice(members)
        return {"type": rng.choice(names_of(registry, kind)), **self.arguments(kind, depth=depth + 1)}

    def arguments(self, component: type[Component], optional: float = 0.25, depth: int = 0) -> dict[str, Json]:
        """Draws the required arguments of a component and some optional ones."""
        drawn = {}
        for name, schema in properties_of(component).items():
            attribute = component.attributes.get(name)
            if attribute is None:
                continue
            chance = 0.03 if attribute.unsupported or name == "trainable" else optional
            if attribute.default is REQUIRED or self.rng.random() < chance:
                drawn[name] = self.value(schema, name, depth)
        return drawn

    def value(self, schema: dict[str, Json], name: str = "", depth: int = 0) -> Json:
        """Draws a value that is valid by a JSON Schema; rarely one at a boundary that the schema forbids."""
        rng = self.rng
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return rng.choice(schema["enum"])
        if "$ref" in schema:
            return self._referenced(schema["$ref"].rpartition("/")[2], depth)
        if "anyOf" in schema:
            return self.value(rng.choice(schema["anyOf"]), name, depth)
        kind = schema.get("type", "string")
        kind = rng.choice(kind) if isinstance(kind, list) else kind
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        if kind == "integer":
            return self.integer(schema, name)
        if kind == "number":
            return self.number(schema)
        scalars = {"boolean": rng.random() < 0.5, "null": None, "string": self._string(name)}
        return scalars[kind]

    def _referenced(self, name: str, depth: int) -> Json:
        if name == "constant":
            return self._constant(depth)
        if name == "layer" and depth > 2:
            return {"type": "Identity"}
        return self.component(REGISTRY_BY_KIND[name], depth)

    def _constant(self, depth: int) -> Json:
        rng = self.rng
        if depth < 3 and rng.random() < 0.3:
            return [self._constant(depth + 1) for _ in range(rng.choice([1, 1, 2, 3, *self.sizes[-1:]]))][:16]
        return rng.choice([rng.choice(SMALL_NUMBERS), self.integer({}), self.integer({}), rng.random() < 0.5])

    def _object(self, schema: dict[str, Json], depth: int) -> Json:
        rng, required = self.rng, schema.get("required", ())
        drawn = {
            key: self.value(item, key, depth + 1)
            for key, item in schema.get("properties", {}).items()
            if key in required or rng.random() < 0.4
        }
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict):
            drawn |= {rng.choice(STRINGS): self.value(extra, "", depth + 1) for _ in range(rng.randint(0, 2))}
        return drawn

    def _array(self, schema: dict[str, Json], name: str, depth: int) -> Json:
        rng = self.rng
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        count = rng.choice([least, max(least, 1), max(least, 1), max(least, 2), max(least, self.rank), least + 1])
        count = min(count, most if most is not None and rng.random() > self.boundary else 8)
        if name in ("axes", "dims") and rng.random() < 0.5:
            first = int(name == "dims")
            return rng.sample(range(first, self.rank), max(self.rank - first, 0))
        return [self.value(schema.get("items", {}), name, depth + 1) for _ in range(count)]

    def integer(self, schema: dict[str, Json], name: str = "") -> int:
        rng = self.rng
        if rng.random() < self.boundary:
            ends = [schema[key] + step for key in ("minimum", "maximum") if key in schema for step in (-1, 0, 1)]
            return int(rng.choice([*BOUNDARY_INTEGERS, *ends]))
        if "axis" in name or name == "axes":
            return rng.choice([-1, rng.randint(-self.rank, self.rank), rng.randint(0, max(self.rank - 1, 0))])
        least, most = schema.get("minimum", -3), schema.get("maximum", 12)
        pool = [
            n for n in (*SMALL_INTEGERS, *self.sizes, *(s - 1 for s in self.sizes)) if least <= n <= most and n < 100
        ]
        return int(rng.choice(pool or [least]))

    def number(self, schema: dict[str, Json]) -> float:
        rng = self.rng
        if rng.random() < self.boundary:
            return rng.choice(BOUNDARY_NUMBERS)
        ends = [float(schema[key]) for key in ("minimum", "maximum") if key in schema]
        fitting = [n for n in (*SMALL_NUMBERS, *ends) if self._within(n, schema)]
        return rng.choice(fitting or [1.0])

    @staticmethod
    def _within(number: float, schema: dict[str, Json]) -> bool:
        return (
            schema.get("minimum", number) <= number <= schema.get("maximum", number)
            and ("exclusiveMinimum" not in schema or number > schema["exclusiveMinimum"])
            and ("exclusiveMaximum" not in schema or number < schema["exclusiveMaximum"])
        )

    def _string(self, name: str) -> str:
        rng = self.rng
        if name == "equation" or "subscripts" in name:
            return rng.choice(["ab,bc->ac", "abc,cd->abd", "...x,xy->...y", "ab,bcd->acd", "ab->ba", "ab,ab->a"])
        return rng.choice(ODD_STRINGS if rng.random() < self.boundary else STRINGS)


@cache
def properties_of(component: type[Component]) -> dict[str, Json]:
    properties: dict[str, Json] = component.schema()["properties"]
    return properties


@cache
def names_of(registry: Registry, component: type[Component]) -> list[str]:
    """Returns the main name of a component, which is drawn most often, and its aliases."""
    aliases = [name for name, other in registry.by_name.items() if other is component and name != component.type_name]
    return [component.type_name] * 3 + aliases
