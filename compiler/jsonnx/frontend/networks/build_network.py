"""Builds a network from a flat document: makes layers of the entries and connects them by name."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report, did_you_mean, quoted_list, suggested
from ...core.fixes import remove_key
from ...core.types import BATCH, Dim, Size, TensorType
from ...layers import LAYERS, Layer
from ...sections.lint_section import LINT_KEY, IgnoredFinding, LintSection
from ...sections.quantization_section import QUANTIZATION_KEY, VARIANTS_CODEC, QuantizationVariant
from ..default_names import default_name, free_name
from ..network import BlockLayer, Call, LeftOutEntry, Network, auxiliary_output_names
from ..schema.error_messages import report_unknown_layer_type
from ..schema.errors import check_against_schema
from ..schema.phrases import known_names_help, short_name, short_repr
from ..schema.schema import ENTRY_KEYS, LANGUAGE_VERSION
from ..weight_patterns import AdaptedWeights, FrozenWeights
from .input_counts import has_valid_input_count
from .layer_patterns import (
    check_lint_patterns,
    check_variant_patterns,
    check_weight_patterns,
    learning_rate_factors,
    with_frozen_layers,
)
from .python_functions import NO_FUNCTIONS, PythonFunctions, with_valid_entries
from .topological_sort import sort_topologically
from .training_variant import check_training_variant
from .unused_layers import References, check_usage, names_in_reference
from .valid_training import valid_training

CALL_KEYS = ("type", "name", "description", "from")
"""Keys of an entry that are not arguments of its layer."""


def build_network(
    document: Json,
    report: Report,
    origins: Sequence[BlockLayer | None] = (),
    copies: Mapping[str, Collection[str]] = {},
    left_out: Mapping[str, LeftOutEntry] = {},
    functions: PythonFunctions = NO_FUNCTIONS,
) -> Network | None:
    """Returns the network of a flat document and reports its errors.

    `origins` has an item for each layer, which is None for layers outside blocks, `copies` the names that each name of
    copies stood for, and `left_out` the entry left out that would take a layer's result. Returns None if the document
    has no list of layers, or too many errors to report all.
    """
    version = document.get("version", LANGUAGE_VERSION) if isinstance(document, dict) else LANGUAGE_VERSION
    if isinstance(version, int) and version != LANGUAGE_VERSION:
        message = f"version {short_repr(version)} of the language is not supported"
        help = f"this release reads version {LANGUAGE_VERSION}; install a release that reads the file's version"
        report.add("unsupported-version", ("version",), message, help=help)
        return None
    is_complete = check_against_schema(with_valid_entries(document), report)
    if not is_complete or not isinstance(document, dict) or not isinstance(document.get("layers"), list):
        return None
    return _NetworkBuilder(document, report, origins, copies, left_out, functions).build()


@dataclass(eq=False, repr=False)
class _NetworkBuilder:
    """Builds the network of one document. All names are collected first, since a layer may refer to a later one.

    A call with an error gets no layer. Its results then have no types, so that no consequences are reported.
    """

    document: Mapping[str, Json]
    report: Report
    origins: Sequence[BlockLayer | None]
    copies: Mapping[str, Collection[str]]
    left_out: Mapping[str, LeftOutEntry]
    functions: PythonFunctions
    paths: dict[str, JsonPath] = field(default_factory=dict)
    """The path of the first definition of each name."""
    names_by_lower_case: dict[str, str] = field(default_factory=dict)
    meant_names: set[str] = field(default_factory=set)
    """The names that misspelled ones probably stand for."""
    dangling_count: int = 0
    """References to names that do not exist, and resemble none."""

    def build(self) -> Network:
        inputs = self._inputs()
        calls = self._with_sources(self._calls())
        for call in calls:
            for result in call.results:
                self.paths.setdefault(result, call.path)
        calls = self._with_checked_sources(calls)
        ordered = sort_topologically(calls, self.paths, self.report)
        outputs = self._outputs(calls)
        outputs += self._auxiliary_outputs(calls, outputs)
        named_outputs = {*outputs, *names_in_reference(self.document.get("outputs"))}
        references = References(self.meant_names, self.dangling_count, has_cycle=len(ordered) < len(calls))
        usage = check_usage(self.document, calls, references, self.origins, self.left_out, self.report)
        dropped = tuple(call for call in ordered if call.name in usage.idle_names)
        ordered = [call for call in ordered if call.name not in usage.idle_names]
        training = valid_training(self._training_section(), self.report)
        frozen_weights: FrozenWeights | None = None
        variants, rate_factors = self._variants(ordered), dict[str, float]()
        if training is not None:
            ordered, frozen_weights = with_frozen_layers(ordered, training, self.report)
            rate_factors = learning_rate_factors(ordered, training, self.report)
            check_weight_patterns(ordered, training, self.report)
            check_training_variant(training, variants, ordered, self.report)
        ignored_findings = self._ignored_findings(ordered)
        return Network(
            name=self._text("name", "model"),
            inputs=inputs,
            calls=tuple(ordered),
            outputs=tuple(outputs),
            labels=self._labels(outputs) if set(outputs) == named_outputs else {},
            training=training,
            learning_rate_factors=rate_factors,
            frozen_weights=frozen_weights,
            adapted_weights=None if training is None or training.lora is None else AdaptedWeights(training.lora),
            paths={name: path for name, path in self.paths.items() if name not in usage.idle_results},
            descriptions=self._descriptions(calls),
            dropped=dropped,
            document=self.document,
            flat_document=self.document,
            variants=variants,
            ignored_findings=ignored_findings,
            not_checked=usage.not_checked,
        )

    def _training_section(self) -> Json:
        """The section `training`, with the components of Python functions."""
        document: Any = self.functions.put_into(self.document, self.report)
        return document.get("training")

    def _text(self, key: str, default: str) -> str:
        value = self.document.get(key, default)
        return value if isinstance(value, str) else default

    def _ignored_findings(self, calls: Sequence[Call]) -> tuple[IgnoredFinding, ...]:
        """The silenced findings; reports patterns that match no layer."""
        section = self.document.get(LINT_KEY)
        if not isinstance(section, dict) or self.report.has_errors((LINT_KEY,)):
            return ()
        ignored_findings = LintSection(**section).ignore
        check_lint_patterns(calls, ignored_findings, self.report)
        return ignored_findings

    def _variants(self, calls: Sequence[Call]) -> dict[str, QuantizationVariant]:
        """The quantized variants; reports patterns that match no layer."""
        section = self.document.get(QUANTIZATION_KEY)
        if section is None or self.report.has_errors((QUANTIZATION_KEY,)):
            return {}
        variants: dict[str, QuantizationVariant] = VARIANTS_CODEC.read(section)
        check_variant_patterns(calls, variants, self.report)
        return variants

    def _descriptions(self, calls: Iterable[Call]) -> dict[str, str]:
        inputs, entries = self.document.get("inputs"), dict(self._entries())
        described = list(inputs.items()) if isinstance(inputs, dict) else []
        described += [(call.name, entries[int(call.path[1])]) for call in calls]
        texts = {name: entry.get("description") for name, entry in described if isinstance(entry, dict)}
        return {name: text for name, text in texts.items() if isinstance(text, str)}

    # -- names and layers --------------------------------------------------------------------------------------------

    @cached_property
    def _names_by_use(self) -> dict[str, set[str]]:
        """The names of the layers in each of the spec's uses of blocks, and of copies. References may use both kinds of
        names; those of uses and of all copies are replaced before the network is built."""
        names: dict[str, set[str]] = {name: set(members) for name, members in self.copies.items()}
        for entry, origin in zip(self.document["layers"], self.origins, strict=False):
            if origin is not None and origin.use and isinstance(entry, dict):
                names.setdefault(origin.use, set()).add(str(entry.get("name")))
        return names

    @cached_property
    def _names_at_wrong_keys(self) -> set[str]:
        """The texts under keys that layers do not have, which may be misspellings of `name`."""
        return {
            value
            for index, entry in self._entries()
            for key, value in entry.items()
            if isinstance(value, str) and key not in ENTRY_KEYS and self.report.has_errors(("layers", index, key))
        }

    @cached_property
    def _has_unread_names(self) -> bool:
        """Whether the name of a layer is invalid, so that a name which does not exist may be meant to be its name."""
        entries = enumerate(self.document["layers"])
        return any(
            not isinstance(entry, dict) or self.report.has_errors(("layers", index, "name")) for index, entry in entries
        )

    def _inputs(self) -> dict[str, TensorType]:
        section = self.document.get("inputs")
        inputs: dict[str, TensorType] = {}
        for name, entry in section.items() if isinstance(section, dict) else ():
            path = ("inputs", name)
            self._define_name(name, path)
            if not self.report.has_errors(path):
                shape = tuple(self._input_size(size, name, axis) for axis, size in enumerate(entry["shape"]))
                inputs[name] = TensorType(entry.get("dtype", "float32"), (BATCH, *shape))
        return inputs

    def _input_size(self, size: Json, name: str, axis: int) -> Dim:
        if size == str(BATCH):
            message = "'batch' is the name of the batch axis, which is not part of the shape in a spec"
            help = "remove it, or give this size another name"
            self.report.add("invalid-name", ("inputs", name, "shape", axis), message, help=help)
        if size is None:
            return Size.named(f"{name}_{axis + 1}")
        return Size.named(size) if isinstance(size, str) else int(size)

    def _define_name(self, name: str, path: JsonPath) -> None:
        """Records the path of a name; reports the name if it, or one that differs only in case, is defined already."""
        other = self.names_by_lower_case.setdefault(name.lower(), name)
        if other in self.paths:
            problem = "is defined twice" if other == name else f"differs from {short_name(other)} only in case"
            name_path = (*path, "name") if path[0] == "layers" else path
            notes = [(self.paths[other], f"{short_name(other)} is defined here")]
            message, help = f"the name {short_name(name)} {problem}", "rename one of them"
            self.report.add("duplicate-name", name_path, message, help=help, notes=notes, at_key=path[0] == "inputs")
        self.paths.setdefault(name, path)

    def _entries(self) -> list[tuple[int, Mapping[str, Json]]]:
        """The entries of `layers` that are objects, with their indexes."""
        return [(index, entry) for index, entry in enumerate(self.document["layers"]) if isinstance(entry, dict)]

    def _calls(self) -> list[Call]:
        """The calls with their names and layers, not yet connected."""
        explicit_names = (entry.get("name") for _, entry in self._entries())
        used_names = {name.lower() for name in explicit_names if isinstance(name, str)} | set(self.names_by_lower_case)
        last_numbers: dict[str, int] = {}
        calls = []
        for index, entry in self._entries():
            path: JsonPath = ("layers", index)
            name = entry.get("name")
            if not isinstance(name, str):
                is_use = isinstance(entry.get("use"), str)
                base = str(entry["use"]) if is_use else default_name(str(entry.get("type")))
                name = free_name(base, used_names, last_numbers, first=int(is_use))
            used_names.add(name.lower())
            self._define_name(name, path)
            owner = entry["use"] if isinstance(entry.get("use"), str) else name
            calls.append(Call(name, self._make_layer(entry, path), (), path, owner))
        return self._with_shared_layers(calls)

    def _make_layer(self, entry: Mapping[str, Json], path: JsonPath) -> Layer | None:
        kind = entry.get("type")
        if "use" in entry or not isinstance(kind, str):
            return None
        if kind not in LAYERS.by_name:
            report_unknown_layer_type(kind, (*path, "type"), self.document, self.report)
            return None
        if self.report.has_errors(path):
            return None
        layer = LAYERS.by_name[kind](**{key: value for key, value in entry.items() if key not in CALL_KEYS})
        return layer if isinstance(layer, Layer) else None

    def _with_shared_layers(self, calls: list[Call]) -> list[Call]:
        """The calls; those with `use` get the layer that they use."""
        entries = dict(self._entries())
        calls_by_name = {call.name: call for call in reversed(calls)}
        layers = {name: call for name, call in calls_by_name.items() if "use" not in entries[int(call.path[1])]}
        result = []
        for call in calls:
            name, path = entries[int(call.path[1])].get("use"), (*call.path, "use")
            if isinstance(name, str) and not self.report.has_errors(path):
                if name in layers:
                    call = replace(call, layer=layers[name].layer)
                elif name in self.paths:
                    kind = "a use of another layer"
                    if name not in calls_by_name:
                        kind = "an input"
                    elif calls_by_name[name] is call:
                        kind = "this entry itself"
                    message = f"{short_name(name)} is {kind}, not a layer"
                    self.report.add("unknown-name", path, message, help="name the layer to call again")
                else:
                    self._report_unknown(name, path, sorted({*layers, *self._names_by_use}))
            result.append(call)
        return result

    # -- references --------------------------------------------------------------------------------------------------

    def _with_sources(self, calls: list[Call]) -> list[Call]:
        """The calls with their sources: from `from`, else none if the layer needs none, else the previous call, else
        the only input."""
        inputs = [name for name, path in self.paths.items() if path[0] == "inputs"]
        entries, previous_call = dict(self._entries()), {int(call.path[1]) + 1: call.name for call in calls}
        result = []
        for call in calls:
            index = int(call.path[1])
            reference = entries[index].get("from")
            if self.report.has_errors((*call.path, "from")):
                sources: tuple[str, ...] = ()
            elif reference is not None:
                sources = (reference,) if isinstance(reference, str) else tuple(reference)
            elif call.may_lack_sources:
                sources = ()
            elif index:
                sources = (previous_call[index],) if index in previous_call else ()
            else:
                sources = tuple(inputs)
                if len(inputs) > 1:
                    message = f"{short_name(call.name)} is the first layer, and there are {len(inputs)} inputs"
                    help = f'name the input that it takes: "from": "{inputs[0]}"'
                    self.report.add("missing-key", call.path, message, help=help)
                    sources = ()
            is_connected = sources or (reference is None and call.may_lack_sources)
            result.append(replace(call, sources=sources, layer=call.layer if is_connected else None))
        return result

    def _with_checked_sources(self, calls: list[Call]) -> list[Call]:
        """The calls; those with an unknown source or the wrong number of sources lose their layer."""
        known_names, sorted_names = set(self.paths), sorted({*self.paths, *self._names_by_use})
        invalid_calls = {call.name for call in calls if call.layer is None}
        result = []
        for call in calls:
            unknown_sources = [
                source
                for source in call.sources
                if source not in known_names and source.partition(".")[0] not in invalid_calls
            ]
            for source in dict.fromkeys(unknown_sources):
                candidates = [] if self.report.is_full else without_names(sorted_names, call.results)
                self._report_unknown(source, self._reference_path(call, source), candidates)
            is_valid = not unknown_sources and has_valid_input_count(call, self.document, self.report)
            result.append(call if is_valid else replace(call, layer=None))
        return result

    def _reference_path(self, call: Call, source: str) -> JsonPath:
        """The path of a source in the `from` of a call."""
        reference = self.document["layers"][call.path[1]]["from"]
        return (*call.path, "from", reference.index(source)) if isinstance(reference, list) else (*call.path, "from")

    def _report_unknown(self, name: str, path: JsonPath, known: Sequence[str], *, at_key: bool = False) -> None:
        """Reports a name that does not exist, unless it is written under a wrong key. `known` are the existing names,
        sorted."""
        if self.report.has_errors(path) or name in self._names_at_wrong_keys:
            return
        layer, dot, output = name.partition(".")
        message, further_help = f"nothing is called {short_name(name)}", ""
        if dot and layer in known:
            message = f"{short_name(layer)} has no output {short_name(output)}"
            further = [other for other in known if other.startswith(f"{layer}.")]
            known, further_help = further or [layer], f"{short_name(layer)} is its first result"
            further_help += f", the others are {quoted_list(further)}" if further else ", and the only one"
        similar = self.report.similar_words(name, known)
        self.meant_names.update(similar, *(self._names_by_use.get(name, ()) for name in similar))
        self.dangling_count += not similar
        inside_blocks = set[str]().union(*self._names_by_use.values())
        written = [name for name in known if name in self._names_by_use or name not in inside_blocks]
        suggestion = did_you_mean(similar) if self._has_unread_names else suggested(name, similar)
        help = suggestion or further_help or known_names_help(written)
        self.report.add("unknown-name", path, message, help=help if written or further_help else None, at_key=at_key)

    def _outputs(self, calls: list[Call]) -> list[str]:
        """The names of the outputs that exist: from `outputs`, else the last call. Reports the others."""
        section = self.document.get("outputs")
        if section is None:
            return [calls[-1].name] if calls else []
        if isinstance(section, str):
            return self._existing_outputs({("outputs",): section}, calls)
        names = section if isinstance(section, list) else []
        return self._existing_outputs({("outputs", index): name for index, name in enumerate(names)}, calls)

    def _auxiliary_outputs(self, calls: list[Call], outputs: Sequence[str]) -> list[str]:
        """The names of the outputs that only training and evaluation have. Reports unknown ones."""
        path: JsonPath = ("training", "auxiliary_outputs")
        names = {(*path, index): name for index, name in enumerate(auxiliary_output_names(self.document))}
        return self._existing_outputs(names, calls, outputs)

    def _existing_outputs(
        self, names: Mapping[JsonPath, Json], calls: list[Call], earlier_outputs: Sequence[str] = ()
    ) -> list[str]:
        """The names, by path, of results of layers, and of no earlier output. Reports the others."""
        results = {result for call in calls for result in call.results}
        earlier_names: set[str] = set()
        existing = []
        invalid_calls = {call.name for call in calls if call.layer is None}
        for path, name in names.items():
            if not isinstance(name, str) or self.report.has_errors(path):
                continue
            if name in self.paths and name not in results:
                self.report.add("unknown-name", path, f"the output {short_name(name)} is an input", help="name a layer")
            elif name in earlier_outputs:
                message = f"{short_name(name)} is an output of the compiled model already"
                help = "name the layers that are outputs of the compiled model in `outputs`, and only others here"
                self.report.add("duplicate-name", path, message, help=help)
            elif name in earlier_names:
                message = f"the output {short_name(name)} is named twice"
                fix = remove_key(path)
                self.report.add("duplicate-name", path, message, help="remove one of them", fix=fix)
            elif name in results:
                existing.append(name)
            elif name.partition(".")[0] not in invalid_calls:
                copies = (copied for copied, members in self.copies.items() if results.issuperset(members))
                self._report_unknown(name, path, sorted({*results, *copies}))
            earlier_names.add(name)
        return existing

    def _labels(self, outputs: list[str]) -> dict[str, tuple[str, ...]]:
        """The labels by output; reports labels of outputs that do not exist."""
        section = self.document.get("labels")
        if section is None or not outputs or any(self.report.has_errors((part,)) for part in ("labels", "outputs")):
            return {}
        if isinstance(section, list):
            if len(outputs) != 1:
                message = f"there is one list of labels for {len(outputs)} outputs"
                help = f'write a list per output: {{"{outputs[0]}": [...]}}'
                self.report.add("wrong-type", ("labels",), message, help=help)
                return {}
            return {outputs[0]: tuple(section)}
        for name in section:
            if name not in outputs:
                self._report_unknown(name, ("labels", name), sorted(outputs), at_key=True)
        return {name: tuple(labels) for name, labels in section.items()}


def without_names(names: list[str], removed: Iterable[str]) -> list[str]:
    """Sorted names without some of them. Uses binary search: there may be thousands of invalid names."""
    rest = names.copy()
    for name in removed:
        index = bisect_left(rest, name)
        if rest[index : index + 1] == [name]:
            del rest[index]
    return rest
