"""Grows a network layer by layer. Shape inference accepts most layers; few networks end with an invalid one."""

from __future__ import annotations

from random import Random
from typing import Any

from jsonnx.core.components import snake_case
from jsonnx.core.types import BATCH, Dim, ShapeError, Size, TensorType
from jsonnx.frontend.schema.schema import DTYPES
from jsonnx.layers import LAYERS
from unit.layers.cases import Case

from .values import SIZE_NAMES, Draws, Json, names_of

TRIES = 6
"""Number of drawn layers of which the first valid one is taken."""

MAX_STATIC_SIZE = 64
"""Larger sizes are not used as arguments."""


class Network:
    """A network under construction. Values after a layer without a known type have no type."""

    def __init__(self, rng: Random) -> None:
        self.rng, self.boundary = rng, rng.choice([0, 0, 0.02, 0.1, 0.3])
        self.inputs: dict[str, Json] = {}
        self.layers: list[Json] = []
        self.types: dict[str, TensorType] = {}
        self.unused: list[str] = []
        """Values that no layer reads yet."""
        self.is_invalid = False

    def document(self) -> Json:
        document: Json = {"inputs": self.inputs, "layers": self.layers}
        outputs = self.outputs()
        if outputs != [self.layers[-1]["name"]] or self.rng.random() < 0.1:
            document["outputs"] = outputs if len(outputs) > 1 or self.rng.random() < 0.5 else outputs[0]
        read = {source for entry in self.layers for source in _sources(entry)}
        if any("from" not in entry for entry in self.layers[:1]):
            read |= self.inputs.keys()
        document["inputs"] = {
            name: entry for name, entry in self.inputs.items() if name in read or self.rng.random() < 0.05
        }
        referred = {name.partition(".")[0] for entry in self.layers for name in _sources(entry)} | set(outputs)
        referred |= {entry["use"] for entry in self.layers if "use" in entry}
        document["layers"] = [
            {
                key: value
                for key, value in entry.items()
                if key != "name" or value in referred or self.rng.random() < 0.2
            }
            for entry in self.layers
        ]
        return document

    def finish(self, trained: bool) -> None:
        """Combines results without a batch axis with others that have one; with `trained`, makes outputs float32.

        Random numbers, which cannot be outputs, are followed by an Identity.
        """
        drawn = {entry["name"] for entry in self.layers if str(entry.get("type")).startswith("random.")}
        drawn |= {entry["name"] for entry in self.layers if entry.get("use") in drawn}
        for name in [name for name in self.outputs() if name in drawn]:
            self._append({"type": "Identity"}, [name], keep=False)
        for name in [name for name in self.outputs() if name in self.types]:
            if self.types[name].shape[:1] != (BATCH,):
                others = [other for other, type in self.types.items() if type.shape[:1] == (BATCH,)]
                self.rng.shuffle(others)
                kind = self.rng.choice(["ops.add", "ops.add", "ops.multiply", "Add"])
                any(self._append({"type": kind}, [name, other], keep=False) for other in others)
        for name in self.outputs() if trained else ():
            if name in self.types and not self.types[name].dtype.startswith("float"):
                self._append({"type": "ops.cast", "dtype": "float32"}, [name], keep=False)

    def outputs(self) -> list[str]:
        """The values that must be outputs, as no layer reads them."""
        unused = [name for name in self.unused if name not in self.inputs]
        return unused or [self.layers[-1]["name"]]

    # -- inputs --------------------------------------------------------------------------------------------------------

    def add_input(self, shape: tuple[Any, ...] | None = None, dtype: str = "") -> str:
        rng = self.rng
        name = rng.choice(["x", "y", "image", "Z", "in-1"]) if rng.random() < 0.9 else f"x{len(self.inputs)}"
        if name in self.inputs:
            name = f"{name}_{len(self.inputs)}"
        if shape is None:
            rank = rng.choice([0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5])
            shape = tuple(self._size() for _ in range(rank))
        dtype = dtype or rng.choice(["float32"] * 6 + DTYPES)
        self.inputs[name] = {"shape": list(shape)} if dtype == "float32" else {"shape": list(shape), "dtype": dtype}
        self.types[name] = TensorType(dtype, (BATCH, *(_dim(s, name, i) for i, s in enumerate(shape))))
        self.unused.append(name)
        return name

    def _size(self) -> Any:
        rng = self.rng
        if rng.random() < 0.15:
            return rng.choice([None, *SIZE_NAMES])
        return rng.choice([1, 2, 3, 4, 5, 6, 8, 8]) if rng.random() < 0.995 else rng.choice([65537, 10**6, 2**31 - 1])

    # -- layers --------------------------------------------------------------------------------------------------------

    def add_case(self, case: Case) -> None:
        """Adds a layer case of the tests, with its inputs, mostly as it is."""
        sources = []
        for index, shape in enumerate(case.inputs):
            dtype = "bool" if index in case.masks and self.rng.random() < 0.5 else case.dtype
            if self.rng.random() < 0.1:
                dtype = self.rng.choice(DTYPES)
            elif dtype == "int64" and self.rng.random() < 0.4:
                dtype = self.rng.choice(["int32", "uint8", "bool"])
            sizes = [size if self.rng.random() < 0.95 else self._size() for size in shape]
            sources.append(self.add_input(tuple(sizes), dtype))
        self._append(self._altered(case.layer, sources), sources)

    def add_layer(self, kind: str, case: Case | None = None, keep: bool = False) -> None:
        """Adds a layer of a type, drawn until it is valid; with `keep`, and sometimes without, an invalid one, after
        which nothing is added."""
        if self.is_invalid:
            return
        if self.layers and self.rng.random() < 0.05:
            self._share()
        for _ in range(TRIES):
            entry, sources = self._drawn(kind, case)
            if self._append(entry, sources, keep=keep or self.rng.random() < 0.02):
                return

    def _share(self) -> None:
        """Calls an earlier layer again, if that is valid."""
        earlier = self.rng.choice(self.layers)
        if "use" not in earlier:
            arguments = {key: value for key, value in earlier.items() if key not in ("name", "from")}
            sources = [self._pick() for _ in range(max(len(_sources(earlier)), 1))]
            self._append(arguments, sources, keep=self.rng.random() < 0.1, use=earlier["name"])

    def _drawn(self, kind: str, case: Case | None) -> tuple[Json, list[str]]:
        rng, component = self.rng, LAYERS.members[kind]
        least, most = component.arity
        count = rng.randint(least, most if most is not None else least + 2)
        if case is not None and rng.random() < 0.5:
            count = len(case.inputs)
        sources = [self._pick() for _ in range(max(count, 1))]
        if case is not None and rng.random() < 0.6:
            return self._altered(case.layer, sources), sources
        entry = {"type": rng.choice(names_of(LAYERS, component)), **self._draws(sources).arguments(component)}
        for name in [name for name in entry if name in getattr(component, "tensors", ())]:
            if len(sources) > 1 and rng.random() < 0.7:
                sources.pop()
            elif least > 0 and rng.random() < 0.5:
                del entry[name]
        return entry, sources

    def _draws(self, sources: list[str]) -> Draws:
        types = [self.types[source] for source in sources if source in self.types]
        sizes = tuple(s for t in types for s in t.shape if isinstance(s, int) and s <= MAX_STATIC_SIZE)
        return Draws(self.rng, sizes, types[0].rank if types else 2, self.boundary)

    def _altered(self, layer: Json, sources: list[str]) -> Json:
        """Returns an entry with some arguments drawn anew."""
        rng, component = self.rng, LAYERS.by_name[layer["type"]]
        entry = dict(layer)
        if rng.random() < 0.6:
            return entry
        drawn = self._draws(sources).arguments(component, optional=0.15)
        for name in rng.sample(list(drawn), min(len(drawn), rng.choice([1, 1, 2]))):
            entry[name] = drawn[name]
        return entry

    def _pick(self) -> str:
        """Picks a value: mostly the newest one or one that nothing reads."""
        if self.rng.random() < 0.6 and self.layers and self.layers[-1]["name"] in self.types:
            return self.layers[-1]["name"]
        names = [name for name in self.unused if name in self.types]
        return self.rng.choice(names if names and self.rng.random() < 0.7 else list(self.types))

    def _append(self, entry: Json, sources: list[str], keep: bool = True, use: str = "") -> bool:
        """Appends a layer, or a call of the layer `use`. If shape inference rejects it, it is appended only if `keep`,
        as the last one."""
        types, names = self._infer(entry, sources)
        if types is None and not keep:
            return False
        base = snake_case(entry["type"].rpartition(".")[2])
        name = f"{base}_{len(self.layers)}"
        entry = ({"use": use} if use else entry) | {"name": name}
        follows = self.layers and sources == [self.layers[-1]["name"]]
        if not (follows or (not self.layers and len(self.inputs) == 1)) or self.rng.random() < 0.2:
            entry["from"] = sources if len(sources) > 1 or self.rng.random() < 0.2 else sources[0]
        self.layers.append(entry)
        self.unused = [value for value in self.unused if value not in sources]
        results = [name, *(f"{name}.{output}" for output in names)]
        self.types |= dict(zip(results, types or (), strict=False))
        self.unused.append(name)
        self.is_invalid = types is None
        return True

    def _infer(self, entry: Json, sources: list[str]) -> tuple[list[TensorType] | None, tuple[str, ...]]:
        """The types and names of the results; no types if the layer is invalid or fails."""
        try:
            layer: Any = LAYERS.by_name[entry["type"]](**{k: v for k, v in entry.items() if k != "type"})
            if any(isinstance(value, int) and value > 4096 for value in vars(layer).values()):
                return None, ()  # may take long
            least, most = layer.input_count_range()
            if not least <= len(sources) <= (len(sources) if most is None else most):
                return None, ()
            results = layer.infer(*(self.types[source] for source in sources))
            return list(results if isinstance(results, tuple) else (results,)), layer.output_names()
        except ShapeError:
            return None, ()
        except Exception:  # either the arguments do not match their schema, or this is what the generator looks for
            return (None, ()) if self.rng.random() < 0.8 else ([], ())


def _dim(size: Any, name: str, axis: int) -> Dim:
    if size is None:
        return Size.named(f"{name}_{axis + 1}")
    return Size.named(size) if isinstance(size, str) else int(size)


def _sources(entry: Json) -> list[str]:
    sources = entry.get("from", [])
    return [sources] if isinstance(sources, str) else sources
