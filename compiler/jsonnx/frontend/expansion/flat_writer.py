"""Writes the flat document: the layers of templates, and the other sections with their expressions evaluated."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import log10
from typing import Any

from ...core.components import Json
from ...core.diagnostics import LIBRARY, JsonPath, SourceMap, identity_source_map
from ...core.limits import MAX_JSON_VALUES, MAX_LAYERS
from ..network import (
    BLOCK_USES,
    BlockInput,
    BlockLayer,
    LeftOutEntry,
    Network,
    RepeatedUse,
)
from ..schema.phrases import known_names_help, short_name
from ..schema.schema import REUSE_KEYS
from .block_definitions import BlockDefinition
from .evaluator import EvaluationScope
from .output_resolver import OutputResolver
from .repeated_inputs import InputExpander
from .scope import Scope, TemplateCache
from .source_map import ExpansionSourceMap, ScopedPath
from .template import BlockUse, Copies, Ref, Step, Template

EVALUATED_SECTIONS = ("inputs", "labels", "training", "quantization", "budget")
"""Sections that are copied, with their expressions evaluated."""


@dataclass(frozen=True, eq=False, repr=False)
class FlatDocument:
    """A document without blocks, repetitions and expressions."""

    document: Json
    source_map: SourceMap = identity_source_map
    invalid_paths: Sequence[JsonPath] = ()
    """Paths of the flat document with errors, which have been reported."""
    block_uses: Sequence[tuple[tuple[str, str], ...]] = ()
    """For each layer, the enclosing uses of blocks from the outermost: the name of the use, the name of the block."""

    origins: Sequence[BlockLayer | None] = ()
    """For each layer, where in a block it comes from; None outside blocks."""

    descriptions: Mapping[str, str] = field(default_factory=dict)
    """Descriptions of uses of blocks, or else of the spec's own blocks, by the name of the use."""
    block_outputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """For each use of a block: the names of its outputs, by the names of the values in the flat document."""

    block_inputs: Mapping[int, Sequence[BlockInput]] = field(default_factory=dict)
    """The inputs of uses of blocks whose shape is to be checked, by the index of the layer that takes them."""

    repeated_uses: Sequence[RepeatedUse] = ()
    copies: Mapping[str, Collection[str]] = field(default_factory=dict)
    """The names of the layers or inputs that each name of copies stood for."""
    left_out: Mapping[str, LeftOutEntry] = field(default_factory=dict)
    """The entries left out, by the names of the layers that they would take."""

    def with_blocks(self, network: Network) -> Network:
        """A network with the uses of blocks that enclose its calls, their descriptions and their outputs."""
        if not self.block_uses:
            return network
        calls, dropped = (
            tuple(replace(call, block_uses=self.block_uses[int(call.path[1])]) for call in part)
            for part in (network.calls, network.dropped)
        )
        descriptions = {**self.descriptions, **network.descriptions}
        return replace(
            network,
            calls=calls,
            dropped=dropped,
            descriptions=descriptions,
            block_outputs=self.block_outputs,
            block_inputs=self.block_inputs,
            repeated_uses=self.repeated_uses,
        )


@dataclass(eq=False, repr=False)
class FlatWriter:
    """Writes the layers of templates into a flat document."""

    document: Mapping[str, Json]
    library: Mapping[str, Json]
    """The definitions of the library's blocks that the document uses, by type."""
    templates: TemplateCache
    values: Mapping[str, Json]
    evaluation_scope: EvaluationScope
    layers: list[Json] = field(default_factory=list)
    layer_paths: list[ScopedPath] = field(default_factory=list)
    invalid_paths: list[JsonPath] = field(default_factory=list)
    block_uses: list[tuple[tuple[str, str], ...]] = field(default_factory=list)
    origins: list[BlockLayer | None] = field(default_factory=list)
    descriptions: dict[str, str] = field(default_factory=dict)
    block_outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    use_paths: list[ScopedPath] = field(default_factory=list)
    """The paths of uses of blocks whose inputs are checked."""
    open_inputs: list[BlockInput] = field(default_factory=list)
    """The inputs to check of the uses whose layers are being written."""
    block_inputs: dict[int, list[BlockInput]] = field(default_factory=dict)
    copies: dict[str, list[str]] = field(default_factory=dict)
    """The names that each name of copies stands for."""
    left_out: dict[str, LeftOutEntry] = field(default_factory=dict)
    repeated_uses: dict[tuple[JsonPath, str], RepeatedUse] = field(default_factory=dict)
    """The repeated uses of blocks, by the path of the entry and the prefix of their names."""
    input_names: list[str] = field(default_factory=list)
    """The inputs of the flat document."""
    written_indexes: Mapping[JsonPath, Sequence[int]] = field(default_factory=dict)
    """For each item of the lists of outputs, its index in the list as written."""
    written_keys: Mapping[JsonPath, str] = field(default_factory=dict)
    """The keys that name outputs as written, by the paths that they have in the flat document."""
    last_name: str = ""
    """The name of the layer that was written last."""

    def flat_document(self) -> FlatDocument | None:
        flat = {key: value for key, value in self.document.items() if key not in REUSE_KEYS}
        flat |= {key: self._evaluate(key) for key in EVALUATED_SECTIONS if key in flat}
        self.input_names = [*flat["inputs"]] if isinstance(flat.get("inputs"), dict) else []
        if isinstance(flat.get("layers"), list):
            inputs = {name: name for name in self.input_names}
            scope = Scope(
                self.templates,
                flat["layers"],
                ("layers",),
                self.values,
                self.evaluation_scope,
                inputs,
                input_copies=self.inputs.copies,
            )
            template = scope.template(None, ("outputs",))
            if not self._is_within_limits(template):
                return None
            self.write_layers(template, "", (), None, None)
            self._check_block_references(scope, inputs)
            for name, symbol in scope.symbols.items():
                if isinstance(symbol, Copies):
                    members = (member.name if isinstance(member, Step) else str(member) for member in symbol.members)
                    self.copies[name] = list(members)
            flat["layers"] = self.layers
            outputs = OutputResolver(scope.resolver, template.outputs, self.invalid_paths)
            flat |= {"outputs": self._evaluate("outputs")} if "outputs" in flat else {}
            flat = outputs.resolved(flat, self.last_name)
            self.written_indexes, self.written_keys = outputs.written_indexes, outputs.written_keys
        return FlatDocument(
            flat,
            self.source_map,
            self.invalid_paths,
            self.block_uses,
            self.origins,
            self.descriptions,
            self.block_outputs,
            self.block_inputs,
            [*self.repeated_uses.values()],
            self.copies,
            self.left_out,
        )

    @property
    def source_map(self) -> ExpansionSourceMap:
        document = {**self.document, LIBRARY: self.library}
        names = self.inputs.written_names
        return ExpansionSourceMap(
            document, self.layer_paths, self.use_paths, names, self.written_indexes, self.written_keys
        )

    @cached_property
    def inputs(self) -> InputExpander:
        return InputExpander(self.templates.evaluator, self.values, self.evaluation_scope, self.invalid_paths)

    def _check_block_references(self, scope: Scope, inputs: Mapping[str, str]) -> None:
        """Reports unknown names in the `from` of uses of blocks; `build_network` reports the ones of layers."""
        entries = [entry for entry in self.layers if isinstance(entry, dict)]
        names = {entry["name"] for entry in entries if isinstance(entry.get("name"), str)} | inputs.keys()
        unknown_names = set()
        for path, name in scope.resolver.unresolved_names:
            if name.partition(".")[0] not in names:
                candidates = sorted(scope.symbols)
                help = self.templates.report.suggestion(name, candidates) or known_names_help(candidates)
                self.templates.report.add("unknown-name", path, f"nothing is called {short_name(name)}", help=help)
                unknown_names.add(name)
        for index, entry in enumerate(self.layers if unknown_names else []):
            reference = entry.get("from") if isinstance(entry, dict) else None
            sources = reference if isinstance(reference, list) else [reference]
            if any(isinstance(name, str) and name in unknown_names for name in sources):
                self.invalid_paths.append(("layers", index, "from"))

    def _evaluate(self, key: str) -> Json:
        """A section with its expressions evaluated, and the inputs in it expanded."""
        section = self.document[key]
        if key == "inputs" and isinstance(section, dict):
            return self.inputs.expanded_inputs(section)
        data = section.get("data") if key == "training" and isinstance(section, dict) else None
        columns = data.get("x") if isinstance(data, dict) else None
        if not self.inputs.copies or not isinstance(columns, dict):
            return self._value(section, (key,))
        return {
            name: {
                inner: self.inputs.expanded_columns(columns) if inner == "x" else self._value(value, (key, name, inner))
                for inner, value in part.items()
            }
            if name == "data"
            else self._value(part, (key, name))
            for name, part in section.items()
        }

    def _value(self, raw: Json, path: JsonPath) -> Json:
        return self.templates.evaluator.evaluate(raw, self.values, path, self.invalid_paths, self.evaluation_scope)

    def _is_within_limits(self, template: Template) -> bool:
        """Whether the expansion is within the limits of a document; reports an error if not."""
        count, path = (
            template.largest_entry if template.largest_entry[0] > MAX_LAYERS else (template.layer_count, ("layers",))
        )
        if template.layer_count <= MAX_LAYERS and template.value_count <= MAX_JSON_VALUES:
            return True
        limit = f"{MAX_LAYERS:,}"
        if template.layer_count <= MAX_LAYERS:
            size, limit = f"{template.value_count:,} values", f"{MAX_JSON_VALUES:,}"
        elif count >= 10**15:
            size = f"more than 10^{int(log10(count))} layers"  # Python writes no integers of over 4,300 digits
        else:
            size = f"{count:,} layers" if template.is_exact else f"{count:,} layers or more"
        message = f"this expands to {size}, more than {limit}"
        self.templates.report.add("too-large", path, message, help="use fewer repetitions")
        return False

    # -- layers ------------------------------------------------------------------------------------------------------

    def write_layers(
        self,
        template: Template,
        prefix: str,
        inputs: Sequence[str | None],
        owner: str | None,
        block_use: BlockUse | None,
    ) -> None:
        """Writes the layers of a template.

        `prefix` is the prefix of the layers' names, and `inputs` are the names of the values that the template takes
        (None: unknown). `owner` is the prefix of the layers whose weights are used, if the block is called again.
        """
        self._note_left_out(template, prefix, block_use)
        for step in template.steps:
            sources = [_resolve_ref(ref, prefix, inputs) for ref in step.sources or []]
            owner_prefix = prefix if owner is None else owner
            is_block = step.template is not None
            reused = owner_prefix + (step.prefix if is_block else step.name) if owner is not None else None
            if step.used_step:
                reused = owner_prefix + (step.used_step.prefix if is_block else step.used_step.name)
            if step.template is not None and step.block is not None:
                self._write_use(step, step.block, step.template, prefix, sources, reused, block_use)
            else:
                self._write_layer(step, prefix, sources, reused, block_use)

    def _write_use(
        self,
        step: Step,
        block: BlockDefinition,
        template: Template,
        prefix: str,
        sources: list[str | None],
        owner: str | None,
        block_use: BlockUse | None,
    ) -> None:
        """Writes the layers of a use of a block; `owner` is the prefix of the layers whose weights are used."""
        arguments_path = step.used_step.path if step.used_step else step.path
        block_uses = (*(block_use.block_uses if block_use else ()), (prefix + step.name, block.name))
        self._note_use(step, block, template, prefix)
        self._note_repetition(step, prefix, block_use)
        inner_use = BlockUse(step.path, arguments_path, step.name, block, block_use, block_uses)
        inner_inputs = sources if step.sources is not None else [None] * len(block.inputs)
        checked_inputs = self._checked_inputs(step, template, inner_inputs, inner_use)
        self.open_inputs += checked_inputs
        self.write_layers(template, prefix + step.prefix, inner_inputs, owner, inner_use)
        del self.open_inputs[len(self.open_inputs) - len(checked_inputs) :]

    def _write_layer(
        self,
        step: Step,
        prefix: str,
        sources: list[str | None],
        reused_layer: str | None,
        block_use: BlockUse | None,
    ) -> None:
        """Writes a layer; `reused_layer` is the layer whose weights it uses."""
        path: JsonPath = ("layers", len(self.layers))
        self.invalid_paths += [(*path, *invalid[len(step.path) :]) for invalid in step.invalid_paths]
        if block_use is not None and None in sources:
            self.invalid_paths.append((*path, "from"))
        for block_input in self.open_inputs:
            if block_input.value in sources:
                self.block_inputs.setdefault(len(self.layers), []).append(block_input)
        self.layer_paths.append(ScopedPath(step.path, block_use, step.source_indexes))
        use = block_use.block_uses[0][0] if block_use and block_use.block_uses else ""
        self.origins.append(BlockLayer(step.path, step.later_repetitions, use) if block_use else None)
        self.block_uses.append(block_use.block_uses if block_use else ())
        self.layers.append(
            self._flat_entry(step, prefix, sources, reused_layer) if isinstance(step.body, dict) else step.body
        )
        self.last_name = prefix + step.name

    def _checked_inputs(
        self, step: Step, template: Template, inputs: Sequence[str | None], block_use: BlockUse
    ) -> list[BlockInput]:
        """The inputs of a use of a block that must have certain shapes."""
        if not template.input_shapes:
            return []
        path: JsonPath = (BLOCK_USES, len(self.use_paths))
        self.use_paths.append(ScopedPath(step.path, block_use.outer))
        return [
            BlockInput(shape, name, block_use.block_uses[-1], path)
            for number, shape in template.input_shapes.items()
            if (name := inputs[number]) is not None
        ]

    def _note_repetition(self, step: Step, prefix: str, block_use: BlockUse | None) -> None:
        """Notes a copy of a repeated use of a block."""
        key = step.path, prefix
        if step.later_repetitions and key not in self.repeated_uses:
            self.repeated_uses[key] = RepeatedUse([], (BLOCK_USES, len(self.use_paths)))
            self.use_paths.append(ScopedPath(step.path, block_use))
        if key in self.repeated_uses:
            self.repeated_uses[key].names.append(prefix + step.name)

    def _note_left_out(self, template: Template, prefix: str, block_use: BlockUse | None) -> None:
        """Notes the entries of a template that are left out."""
        for step, first_source, further_sources in template.left_out:
            entry = LeftOutEntry(step.name, first_source, (BLOCK_USES, len(self.use_paths)))
            self.left_out |= {f"{prefix}{source}": entry for source in further_sources}
            self.use_paths.append(ScopedPath(step.path, block_use))

    def _note_use(self, step: Step, block: BlockDefinition, template: Template, prefix: str) -> None:
        """Notes the description and the outputs of a use of a block; `prefix` is the prefix of its name."""
        default = "" if block.in_library else block.description  # `jsonnx layers` shows those of the library
        description, name = step.body.get("description", default), prefix + step.name
        if description:
            self.descriptions[name] = description
        self.block_outputs[name] = {
            f"{prefix}{step.prefix}{ref}": output for output, ref in template.outputs.items() if isinstance(ref, str)
        }

    def _flat_entry(
        self, step: Step, prefix: str, sources: list[str | None], reused_layer: str | None
    ) -> dict[str, Json]:
        """The entry of a layer in the flat document; `reused_layer` is the layer whose weights it uses."""
        body: dict[str, Any] = {"use": reused_layer} if reused_layer and not step.is_use else dict(step.body)
        if reused_layer:
            body["use"] = reused_layer
        if isinstance(body.get("name", ""), str) and (prefix or "name" in body or self.templates.blocks):
            body["name"] = prefix + step.name
        if step.sources is None or None in sources:
            return body
        reference = step.body.get("from")
        default_sources = [self.last_name] if self.layers else self.input_names if len(self.input_names) == 1 else []
        if isinstance(reference, list):
            body["from"] = sources
        elif sources and (isinstance(reference, str) or sources != default_sources):
            body["from"] = sources if len(sources) > 1 else sources[0]
        return body


def _resolve_ref(ref: Ref | None, prefix: str, inputs: Sequence[str | None]) -> str | None:
    """The name of a value in the flat document; None if it is unknown."""
    if isinstance(ref, int):
        return inputs[ref]
    return None if ref is None else prefix + ref
