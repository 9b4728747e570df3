"""What the schema allows, turned into bricks and connected by name."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..core.components import Json
from ..core.diagnostics import JsonPath, Report
from ..core.types import BATCH, Dim, Size, TensorType
from ..layers import LAYERS, Layer
from ..training.section import Training
from .default_names import default_name, free_name
from .layer_patterns import check_weight_patterns, learning_rate_factors, with_frozen_layers
from .network import Call, Network
from .schema.errors import check_against_schema, report_unknown_layer_type
from .schema.phrases import name_list, short_name, short_repr
from .schema.schema import LANGUAGE_VERSION
from .topological_sort import sort_topologically

CALL_KEYS = ("type", "name", "from")


def build_network(document: Json, report: Report) -> Network | None:
    """The network that a document describes, with every fault of it reported; None where it has no layers at all."""
    version = document.get("version", LANGUAGE_VERSION) if isinstance(document, dict) else LANGUAGE_VERSION
    if isinstance(version, int) and version != LANGUAGE_VERSION:
        help = f"this release reads version {LANGUAGE_VERSION}; install the one that wrote the file, or adapt it"
        report.add(
            "unsupported-version", ("version",), f"cannot read version {short_repr(version)} of the language", help=help
        )
        return None
    check_against_schema(document, report)
    if not isinstance(document, dict) or not isinstance(document.get("layers"), list):
        return None
    return _NetworkBuilder(document, report).build()


@dataclass
class _NetworkBuilder:
    """One document being read; names come first, since a layer may refer to a later one.

    A call that is known to be wrong loses its layer. What it feeds then has no type, and nobody complains about that.
    """

    document: Mapping[str, Json]
    report: Report
    paths: dict[str, JsonPath] = field(default_factory=dict)
    names_by_lower_case: dict[str, str] = field(default_factory=dict)
    """Every name by its lower-case form."""

    def build(self) -> Network:
        inputs = self._inputs()
        calls = self._with_sources(self._calls())
        for call in calls:
            for result in call.results:
                self.paths.setdefault(result, call.path)
        calls = self._with_checked_sources(calls)
        ordered = sort_topologically(calls, self.paths, self.report)
        outputs = self._outputs(calls)
        if not any(self.report.has_errors((part,)) for part in ("inputs", "layers", "outputs")):
            self._check_all_used(calls, inputs, outputs)
        written = self.document.get("training")
        training = Training(**written) if written and not self.report.has_errors(("training",)) else None
        rates: dict[str, float] = {}
        if training is not None:
            ordered = with_frozen_layers(ordered, training, self.report)
            rates = learning_rate_factors(ordered, training, self.report)
            check_weight_patterns(ordered, training, self.report)
        return Network(
            name=self._text("name", "model"),
            inputs=inputs,
            calls=tuple(ordered),
            outputs=tuple(outputs),
            labels=self._labels(outputs),
            training=training,
            learning_rate_factors=rates,
            paths=self.paths,
            document=self.document,
            flat_document=self.document,
        )

    def _text(self, key: str, default: str) -> str:
        value = self.document.get(key, default)
        return value if isinstance(value, str) else default

    # -- names and layers --------------------------------------------------------------------------------------------

    def _inputs(self) -> dict[str, TensorType]:
        written = self.document.get("inputs")
        inputs: dict[str, TensorType] = {}
        for name, entry in written.items() if isinstance(written, dict) else ():
            path = ("inputs", name)
            self._define_name(name, path)
            if not self.report.has_errors(path):
                shape = tuple(self._input_size(size, name, axis) for axis, size in enumerate(entry["shape"]))
                inputs[name] = TensorType(entry.get("dtype", "float32"), (BATCH, *shape))
        return inputs

    def _input_size(self, size: Json, name: str, axis: int) -> Dim:
        if size == str(BATCH):
            message, help = (
                "'batch' names the batch axis, which is not written",
                "leave it out, or give this size another name",
            )
            self.report.add("invalid-name", ("inputs", name, "shape", axis), message, help=help)
        if size is None:
            return Size.named(f"{name}_{axis + 1}")
        return Size.named(size) if isinstance(size, str) else int(size)

    def _define_name(self, name: str, path: JsonPath) -> None:
        other = self.names_by_lower_case.setdefault(name.lower(), name)
        if other in self.paths:
            how = "is defined twice" if other == name else f"differs from {short_name(other)} only in case"
            place = (*path, "name") if path[0] == "layers" else path
            notes = [(self.paths[other], f"{short_name(other)} is defined here")]
            help = "give one of them another name"
            message = f"the name {short_name(name)} {how}"
            self.report.add("duplicate-name", place, message, help=help, notes=notes, at_key=path[0] == "inputs")
        self.paths.setdefault(name, path)

    def _entries(self) -> list[tuple[int, Mapping[str, Json]]]:
        return [(index, entry) for index, entry in enumerate(self.document["layers"]) if isinstance(entry, dict)]

    def _calls(self) -> list[Call]:
        """The calls with their names and layers, not yet connected."""
        written = (entry.get("name") for _, entry in self._entries())
        names = {name.lower() for name in written if isinstance(name, str)} | set(self.names_by_lower_case)
        numbers: dict[str, int] = {}
        calls = []
        for index, entry in self._entries():
            path: JsonPath = ("layers", index)
            name = entry.get("name")
            if not isinstance(name, str):
                again = isinstance(entry.get("use"), str)
                base = str(entry["use"]) if again else default_name(str(entry.get("type")))
                name = free_name(base, names, numbers, first=int(again))
            names.add(name.lower())
            self._define_name(name, path)
            owner = entry["use"] if isinstance(entry.get("use"), str) else name
            calls.append(Call(name, self._make_layer(entry, path), (), path, owner))
        return self._with_shared_layers(calls)

    def _make_layer(self, entry: Mapping[str, Json], path: JsonPath) -> Layer | None:
        kind = entry.get("type")
        if "use" in entry or not isinstance(kind, str):
            return None
        if kind not in LAYERS.by_name:
            report_unknown_layer_type(kind, (*path, "type"), self.report)
            return None
        if self.report.has_errors(path):
            return None
        made = LAYERS.by_name[kind](**{key: value for key, value in entry.items() if key not in CALL_KEYS})
        return made if isinstance(made, Layer) else None

    def _with_shared_layers(self, calls: list[Call]) -> list[Call]:
        """The calls with the layer that they `use`."""
        entries = dict(self._entries())
        first = {call.name: call for call in reversed(calls)}
        layers = {name: call for name, call in first.items() if "use" not in entries[int(call.path[1])]}
        result = []
        for call in calls:
            name, path = entries[int(call.path[1])].get("use"), (*call.path, "use")
            if isinstance(name, str) and not self.report.has_errors(path):
                if name in layers:
                    call = replace(call, layer=layers[name].layer)
                elif name in self.paths:
                    what = (
                        "an input"
                        if name not in first
                        else "this entry itself"
                        if first[name] is call
                        else "a use of another"
                    )
                    message = f"{short_name(name)} is {what}, not a layer"
                    self.report.add("unknown-name", path, message, help="name the layer that is to be called again")
                else:
                    self._report_unknown(name, path, sorted(layers))
            result.append(call)
        return result

    # -- references --------------------------------------------------------------------------------------------------

    def _with_sources(self, calls: list[Call]) -> list[Call]:
        """The calls with what they take from: what they say, or else the entry before, or else the input."""
        inputs = [name for name, path in self.paths.items() if path[0] == "inputs"]
        entries, before = dict(self._entries()), {int(call.path[1]) + 1: call.name for call in calls}
        result = []
        for call in calls:
            index = int(call.path[1])
            written = entries[index].get("from")
            if self.report.has_errors((*call.path, "from")):
                sources: tuple[str, ...] = ()
            elif written is not None:
                sources = (written,) if isinstance(written, str) else tuple(written)
            elif index:
                sources = (before[index],) if index in before else ()
            else:
                sources = tuple(inputs)
                if len(inputs) > 1:
                    message = f"{short_name(call.name)} is the first layer and there are {len(inputs)} inputs"
                    self.report.add(
                        "missing-key", call.path, message, help=f'say which it takes: "from": "{inputs[0]}"'
                    )
                    sources = ()
            result.append(replace(call, sources=sources, layer=call.layer if sources else None))
        return result

    def _with_checked_sources(self, calls: list[Call]) -> list[Call]:
        """The calls, without a layer where they take what does not exist or more or less than the layer does."""
        known, names = set(self.paths), sorted(self.paths)
        broken = {call.name for call in calls if call.layer is None}
        result = []
        for call in calls:
            missing = [
                source for source in call.sources if source not in known and source.partition(".")[0] not in broken
            ]
            for source in dict.fromkeys(missing):
                self._report_unknown(source, self._reference_path(call, source), without_names(names, call.results))
            fits = not missing and self._has_valid_input_count(call)
            result.append(call if fits else replace(call, layer=None))
        return result

    def _reference_path(self, call: Call, source: str) -> JsonPath:
        written = self.document["layers"][call.path[1]]["from"]
        return (*call.path, "from", written.index(source)) if isinstance(written, list) else (*call.path, "from")

    def _report_unknown(self, name: str, path: JsonPath, known: Sequence[str], *, at_key: bool = False) -> None:
        """Report a name that is none of the known ones, which come in order."""
        if self.report.has_errors(path):
            return
        layer, dot, output = name.partition(".")
        message = f"nothing is called {short_name(name)}"
        if dot and layer in known:
            message = f"{short_name(layer)} has no output {short_name(output)}"
            known = [other for other in known if other.startswith(f"{layer}.")] or [layer]
        help = (
            self.report.suggestion(name, known)
            or f"there are: {', '.join(known[:20])}{' and more' if len(known) > 20 else ''}"
        )
        self.report.add("unknown-name", path, message, help=help if known else None, at_key=at_key)

    def _has_valid_input_count(self, call: Call) -> bool:
        """Whether the call has as many inputs as its layer takes; reported where not."""
        if call.layer is None:
            return False
        least, most = call.layer.input_count_range()
        if least <= len(call.sources) and (most is None or len(call.sources) <= most):
            return True
        wanted = f"{least} inputs or more" if most is None else str(least) if least == most else f"{least} to {most}"
        wanted += "" if wanted.endswith("more") else " input" if wanted == "1" else " inputs"
        got = name_list(call.sources)
        help = 'name them: "from": ["a", "b"]' if len(call.sources) < least else None
        message = f"{call.layer.type_name} {call.name!r} takes {wanted}, got {len(call.sources)} ({got})"
        written = "from" in self.document["layers"][call.path[1]]
        self.report.add("wrong-inputs", (*call.path, "from") if written else call.path, message, help=help)
        return False

    def _outputs(self, calls: list[Call]) -> list[str]:
        written = self.document.get("outputs")
        if written is None:
            return [calls[-1].name] if calls else []
        names = [written] if isinstance(written, str) else written if isinstance(written, list) else []
        results = [result for call in calls for result in call.results]
        broken = {call.name for call in calls if call.layer is None}
        for index, name in enumerate(names):
            path: JsonPath = ("outputs",) if isinstance(written, str) else ("outputs", index)
            if not isinstance(name, str) or self.report.has_errors(path):
                continue
            if name in self.paths and name not in results:
                self.report.add("unknown-name", path, f"the output {short_name(name)} is an input", help="name a layer")
            elif name in names[:index]:
                self.report.add(
                    "duplicate-name", path, f"the output {short_name(name)} is named twice", help="remove one"
                )
            elif name not in results and name.partition(".")[0] not in broken:
                self._report_unknown(name, path, sorted(results))
        return [name for name in names if isinstance(name, str) and name in results]

    def _check_all_used(self, calls: list[Call], inputs: Mapping[str, TensorType], outputs: list[str]) -> None:
        used = {source for call in calls for source in call.sources} | set(outputs)
        for call in calls:
            if not used & set(call.results):
                help = "use it in a `from` or in `outputs`, or remove it"
                self.report.add("unused-layer", call.path, f"nothing uses the result of {call.name!r}", help=help)
        for name in inputs:
            if name not in used:
                help = "take it in a `from`, or remove it"
                self.report.add(
                    "unused-input", ("inputs", name), f"no layer takes the input {name!r}", help=help, at_key=True
                )

    def _labels(self, outputs: list[str]) -> dict[str, tuple[str, ...]]:
        written = self.document.get("labels")
        if written is None or any(self.report.has_errors((part,)) for part in ("labels", "layers", "outputs")):
            return {}
        if isinstance(written, list):
            if len(outputs) != 1:
                help = f'give labels by output name: {{"{outputs[0]}": [...]}}'
                self.report.add(
                    "wrong-type", ("labels",), f"there are {len(outputs)} outputs for one list of labels", help=help
                )
                return {}
            return {outputs[0]: tuple(written)}
        for name in written:
            if name not in outputs:
                self._report_unknown(name, ("labels", name), sorted(outputs), at_key=True)
        return {name: tuple(labels) for name, labels in written.items()}


def without_names(names: list[str], removed: Iterable[str]) -> list[str]:
    """Names in order, without some of them; in no time, since there may be thousands that are wrong."""
    rest = names.copy()
    for name in removed:
        place = bisect_left(rest, name)
        if rest[place : place + 1] == [name]:
            del rest[place]
    return rest
