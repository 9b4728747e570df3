"""Expands a document into a flat one: blocks, repetitions and expressions become layers and values.

The flat document has no `parameters`, `scales` and `blocks`. Its source map leads from each path to the path in the
original document, where errors are reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log10
from typing import Any

from ...core.components import Json
from ...core.diagnostics import LIBRARY, JsonPath, Report, SourceMap, identity_source_map
from ...core.limits import MAX_JSON_VALUES, MAX_LAYERS
from ..network import BLOCK_USES, BlockInput, BlockLayer, Network
from ..schema.errors import check_against_schema, check_reuse_properties
from ..schema.fast_validator import is_valid
from ..schema.phrases import known_names_help, short_name
from ..schema.schema import LANGUAGE_VERSION, REUSE_KEYS, root_schema
from .block_definitions import BlockDefinition, check_parameters, read_block_definitions
from .evaluator import EvaluationScope, Evaluator, ExpansionTooLarge
from .library_blocks import used_library_blocks, uses_library
from .parameters import Parameter, read_parameters
from .references import has_patterns
from .scope import Scope, TemplateCache
from .source_map import ExpansionSourceMap, ScopedPath
from .template import BlockUse, Ref, Step, Template
from .unused import check_block_inputs, warn_unused_blocks, warn_unused_parameters

EVALUATED_SECTIONS = ("inputs", "labels", "training", "budget")
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

    def with_blocks(self, network: Network) -> Network:
        """A network with the uses of blocks that enclose its calls, their descriptions and their outputs."""
        if not self.block_uses:
            return network
        calls = [replace(call, block_uses=self.block_uses[int(call.path[1])]) for call in network.calls]
        descriptions = {**self.descriptions, **network.descriptions}
        return replace(
            network,
            calls=tuple(calls),
            descriptions=descriptions,
            block_outputs=self.block_outputs,
            block_inputs=self.block_inputs,
        )


def expand(document: Json, report: Report) -> FlatDocument | None:
    """The flat document; None if the expansion would be too large, which is reported."""
    if not isinstance(document, dict) or not _needs_expansion(document, report):
        return FlatDocument(document)
    check_reuse_properties(document, report)
    library = used_library_blocks(document)
    templates = TemplateCache(read_block_definitions(document, library, report), report)
    parameters = _mapping_at(document, "parameters")
    check_parameters(parameters, ("parameters",), root_schema()["properties"], "at the top level of a spec", report)
    _check_scales(document, parameters, report)
    templates.evaluator.global_names = frozenset(parameters)
    try:
        definitions = read_parameters(parameters, ("parameters",))
        _check_values_given(definitions, report)
        values, invalid_names = templates.parameter_values(definitions, {})
        templates.globals = values
        flat = _FlatWriter(document, library, templates, values, EvaluationScope(None, invalid_names)).flat_document()
        if flat is not None:
            _check_unused_definitions(document, library, templates)
        return flat
    except ExpansionTooLarge:
        return None


def _mapping_at(document: Mapping[str, Json], key: str) -> dict[str, Json]:
    return document[key] if isinstance(document.get(key), dict) else {}


def _check_scales(document: Mapping[str, Json], parameters: Mapping[str, Json], report: Report) -> None:
    """Reports values of scales for parameters that do not exist."""
    for scale, values in _mapping_at(document, "scales").items():
        for name in values if isinstance(values, dict) else ():
            if name not in parameters:
                help = report.suggestion(name, parameters) or known_names_help([*parameters])
                message = f"there is no parameter {short_name(name)}"
                report.add("unknown-name", ("scales", scale, name), message, help=help, at_key=True)


def _check_values_given(parameters: Mapping[str, Parameter], report: Report) -> None:
    """Reports parameters of the network that have no value."""
    for name, parameter in parameters.items():
        if not parameter.has_default and not report.has_errors(parameter.path):
            help = f"give it with --set {name}=..." + (f" ({parameter.description})" if parameter.description else "")
            report.add("missing-key", parameter.path, f"the parameter {short_name(name)} has no value", help=help)


def _check_unused_definitions(
    document: Mapping[str, Json], library: Mapping[str, Json], templates: TemplateCache
) -> None:
    """Warns of unused blocks and parameters, and reports unused inputs of blocks and errors in unused blocks."""
    report = templates.report
    blocks = [block for block in templates.blocks.values() if block and not block.in_library]
    for block in warn_unused_blocks(document.get("layers"), blocks, report):
        _check_unused_block(document, library, block, templates)
    uses = [block for block in blocks if block.name in templates.used_blocks and not report.has_errors(block.path)]
    check_block_inputs(uses, templates.used_inputs, report)
    names_in = templates.evaluator.names
    names_in_block = {block.name: _names_in_block(block, templates.evaluator) for block in blocks}
    parts = [names_in(document.get(key)) or frozenset() for key in (*EVALUATED_SECTIONS, "layers", "outputs")]
    # A block that does not list a parameter of the network cannot use it, which is an error, but is meant to.
    parts += [names_in_block[block.name].union(block.globals) - block.parameters.keys() for block in blocks]
    parameters = read_parameters(_mapping_at(document, "parameters"), ("parameters",))
    warn_unused_parameters(parameters, frozenset().union(*parts), templates.evaluator, report)
    for block in blocks:
        paths = {name: (*block.path, "globals", index) for index, name in enumerate(block.globals)}
        readable = block.parameters | {name: Parameter(path, path) for name, path in paths.items()}
        warn_unused_parameters(readable, names_in_block[block.name], templates.evaluator, report)


def _names_in_block(block: BlockDefinition, evaluator: Evaluator) -> frozenset[str]:
    """The names that the expressions in a block use."""
    defaults = [parameter.default for parameter in block.parameters.values()]
    parts = [block.layers, block.outputs, *block.input_shapes.values(), *defaults]
    return frozenset().union(*(evaluator.names(part) or () for part in parts))


def _check_unused_block(
    document: Mapping[str, Json], library: Mapping[str, Json], block: BlockDefinition, templates: TemplateCache
) -> None:
    """Expands a block with the defaults of its parameters, and reports errors in its layers."""
    writer = _FlatWriter(document, library, templates, {}, EvaluationScope())
    block_use = BlockUse((), (), "", block, None)
    template = templates.template(block, {}, block_use)
    if template.layer_count <= MAX_LAYERS and template.value_count <= MAX_JSON_VALUES:
        writer.write_layers(template, "a_", block.inputs, None, block_use)
        flat = {"inputs": {"x": {"shape": []}}, "layers": writer.layers or [{"type": "Identity"}]}
        block_report = templates.report.child(flat, writer.source_map, writer.invalid_paths)
        check_against_schema(flat, block_report)
        templates.report.merge(block_report)


def _needs_expansion(document: Mapping[str, Json], report: Report) -> bool:
    """Whether a document contains anything that a flat document does not have."""
    if document.get("version", LANGUAGE_VERSION) != LANGUAGE_VERSION:
        return False
    layers = document.get("layers")
    entries = layers if isinstance(layers, list) else []
    evaluator = Evaluator(report)
    return (
        any(key in document for key in REUSE_KEYS)
        or isinstance(document.get("outputs"), dict)
        or any(isinstance(entry, dict) and "repeat" in entry for entry in entries)
        or any(isinstance(entry, dict) and "from" in entry and has_patterns(entry["from"]) for entry in entries)
        or uses_library(entries)
        or any(evaluator.names(document.get(key)) is not None for key in (*EVALUATED_SECTIONS, "layers", "outputs"))
    )


@dataclass(eq=False, repr=False)
class _FlatWriter:
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
    last_name: str = ""
    """The name of the layer that was written last."""

    def flat_document(self) -> FlatDocument | None:
        flat = {key: value for key, value in self.document.items() if key not in REUSE_KEYS}
        for key in EVALUATED_SECTIONS:
            if key in flat:
                flat[key] = self._evaluate(key)
        if isinstance(flat.get("layers"), list):
            inputs = {name: name for name in flat["inputs"]} if isinstance(flat.get("inputs"), dict) else {}
            scope = Scope(self.templates, flat["layers"], ("layers",), self.values, self.evaluation_scope, inputs)
            template = scope.template(None, ("outputs",))
            if not self._is_within_limits(template):
                return None
            self.write_layers(template, "", (), None, None)
            self._check_block_references(scope, inputs)
            flat["layers"] = self.layers
            flat |= self._flat_outputs(scope, template)
        return FlatDocument(
            flat,
            self.source_map,
            self.invalid_paths,
            self.block_uses,
            self.origins,
            self.descriptions,
            self.block_outputs,
            self.block_inputs,
        )

    @property
    def source_map(self) -> ExpansionSourceMap:
        return ExpansionSourceMap({**self.document, LIBRARY: self.library}, self.layer_paths, self.use_paths)

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
        return self.templates.evaluator.evaluate(
            self.document[key], self.values, (key,), self.invalid_paths, self.evaluation_scope
        )

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
        for step in template.steps:
            sources = [_resolve_ref(ref, prefix, inputs) for ref in step.sources or []]
            owner_prefix = prefix if owner is None else owner
            if step.template is not None and step.block is not None:
                arguments_path = step.used_step.path if step.used_step else step.path
                block_uses = (*(block_use.block_uses if block_use else ()), (prefix + step.name, step.block.name))
                self._note_use(step, step.block, step.template, prefix)
                inner_use = BlockUse(step.path, arguments_path, step.name, step.block, block_use, block_uses)
                inner_inputs = sources if step.sources is not None else [None] * len(step.block.inputs)
                inner_owner = None if owner is None else owner_prefix + step.prefix
                if step.used_step:
                    inner_owner = owner_prefix + step.used_step.prefix
                checked_inputs = self._checked_inputs(step, step.template, inner_inputs, inner_use)
                self.open_inputs += checked_inputs
                self.write_layers(step.template, prefix + step.prefix, inner_inputs, inner_owner, inner_use)
                del self.open_inputs[len(self.open_inputs) - len(checked_inputs) :]
                continue
            reused_layer = None if owner is None else owner_prefix + step.name
            if step.used_step:
                reused_layer = owner_prefix + step.used_step.name
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
        default_sources = [self.last_name] if self.layers else list(self._sole_input())
        if isinstance(reference, list):
            body["from"] = sources
        elif sources and (isinstance(reference, str) or sources != default_sources):
            body["from"] = sources if len(sources) > 1 else sources[0]
        return body

    def _sole_input(self) -> Mapping[str, Json]:
        """The inputs if there is exactly one, else nothing."""
        inputs = self.document.get("inputs")
        return inputs if isinstance(inputs, dict) and len(inputs) == 1 else {}

    def _flat_outputs(self, scope: Scope, template: Template) -> dict[str, Json]:
        """The `outputs` of the flat document, with names of layers in place of names of uses of blocks."""
        path: JsonPath = ("outputs",)
        if "outputs" not in self.document:
            last = next((ref for ref in template.outputs.values()), None)
            return {"outputs": last} if isinstance(last, str) and last != self.last_name else {}
        outputs = self._evaluate("outputs")
        if isinstance(outputs, str):
            return {"outputs": scope.resolver.resolve(outputs, path, self.invalid_paths) or outputs}
        if isinstance(outputs, dict) and is_valid(outputs, root_schema()["properties"]["outputs"]):
            outputs = list(outputs)
        if not isinstance(outputs, list):
            return {"outputs": outputs}
        names = [
            (scope.resolver.resolve(name, (*path, at), self.invalid_paths) or name) if isinstance(name, str) else name
            for at, name in enumerate(outputs)
        ]
        return {"outputs": names}


def _resolve_ref(ref: Ref | None, prefix: str, inputs: Sequence[str | None]) -> str | None:
    """The name of a value in the flat document; None if it is unknown."""
    if isinstance(ref, int):
        return inputs[ref]
    return None if ref is None else prefix + ref
