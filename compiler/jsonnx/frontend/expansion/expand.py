"""From the written document to a flat one: blocks, repetitions and expressions become layers and values.

Comes in: the document as `source` reads it. Goes out: one that has `inputs`, `layers`, `outputs`, `labels` and
`training` only, and for each place in it where that was written. Faults are reported where they were written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report, SourceMap, identity_source_map
from ..json_reader import DEFAULT_LIMITS
from ..network import Call
from ..schema.errors import check_against_schema, check_reuse_properties
from ..schema.phrases import short_name
from ..schema.schema import LANGUAGE_VERSION, REUSE_KEYS, root_schema
from .block_definitions import check_parameters, read_block_definitions
from .evaluator import EvaluationScope, Evaluator
from .scope import ExpansionTooLarge, Scope, TemplateCache
from .source_map import ExpansionSourceMap, ScopedPath
from .template import MAX_LAYERS, BlockUse, Ref, Step, Template
from .unused import check_block_inputs, unused_blocks, warn_unused_parameters

EVALUATED_SECTIONS = ("inputs", "labels", "training")
"""What is taken as it is, with its expressions computed."""


@dataclass(frozen=True)
class FlatDocument:
    """A document without blocks, repetitions and expressions; where its parts came from, and which are wrong."""

    document: Json
    source_map: SourceMap = identity_source_map
    """Leads from its paths to what was written."""
    invalid_paths: Sequence[JsonPath] = ()
    block_uses: Sequence[tuple[tuple[str, str], ...]] = ()
    """The uses of blocks that each layer stands in: their names, and which blocks they are."""

    def with_block_uses(self, call: Call) -> Call:
        """A call of a layer, with the uses of blocks that it stands in."""
        around = self.block_uses[int(call.path[1])] if self.block_uses else ()
        return replace(call, block_uses=around) if around else call


def expand(document: Json, report: Report) -> FlatDocument | None:
    """The flat document; None where there can be none, which is reported."""
    if not isinstance(document, dict) or not _needs_expansion(document, report):
        return FlatDocument(document)
    check_reuse_properties(document, report)
    maker = TemplateCache(read_block_definitions(document, report), report)
    parameters = _mapping_at(document, "parameters")
    check_parameters(parameters, ("parameters",), root_schema()["properties"], "at the top of a spec", report)
    _check_scales(document, parameters, report)
    try:
        values, broken = maker.parameter_values(parameters, ("parameters",), {})
        flat = _FlatWriter(document, maker, values, EvaluationScope(None, broken)).flat_document()
        if flat is not None:
            _check_unused_definitions(document, maker)
        return flat
    except ExpansionTooLarge:
        return None


def _mapping_at(document: Mapping[str, Json], key: str) -> dict[str, Json]:
    return document[key] if isinstance(document.get(key), dict) else {}


def _check_scales(document: Mapping[str, Json], parameters: Mapping[str, Json], report: Report) -> None:
    for scale, values in _mapping_at(document, "scales").items():
        for name in values if isinstance(values, dict) else ():
            if name not in parameters:
                help = report.suggestion(name, parameters) or f"there are: {', '.join(list(parameters)[:20])}"
                message = f"there is no parameter {short_name(name)}"
                report.add("unknown-name", ("scales", scale, name), message, help=help, at_key=True)


def _check_unused_definitions(document: Mapping[str, Json], templates: TemplateCache) -> None:
    """What is defined and not used: warned of, and blocks looked at by themselves."""
    report, blocks = templates.report, [block for block in templates.blocks.values() if block]
    for block in unused_blocks(document.get("layers"), templates.blocks, report):
        writer = _FlatWriter(document, templates, {}, EvaluationScope())
        frame = BlockUse((), (), "", block, None)
        template = templates.template(block, {}, frame)
        if template.layer_count <= MAX_LAYERS and template.value_count <= DEFAULT_LIMITS.max_values:
            writer.write_layers(template, "a_", block.inputs, None, frame)
            alone = report.child(ExpansionSourceMap(document, writer.layer_paths), writer.invalid_paths)
            check_against_schema(
                {"inputs": {"x": {"shape": []}}, "layers": writer.layers or [{"type": "Identity"}]}, alone
            )
            report.merge(alone)
    if not report.has_errors():
        check_block_inputs(
            [block for block in blocks if block.name in templates.used_blocks], templates.used_inputs, report
        )
    parts = [document.get(key) for key in (*EVALUATED_SECTIONS, "layers", "outputs")]
    warn_unused_parameters(_mapping_at(document, "parameters"), ("parameters",), parts, templates.evaluator, report)
    for block in blocks:
        path = (*block.path, "parameters")
        warn_unused_parameters(block.parameters, path, [block.layers, block.outputs], templates.evaluator, report)


def _needs_expansion(document: Mapping[str, Json], report: Report) -> bool:
    """Whether there is anything that the flat language does not have."""
    if document.get("version", LANGUAGE_VERSION) != LANGUAGE_VERSION:
        return False
    layers = document.get("layers")
    entries = layers if isinstance(layers, list) else []
    evaluator = Evaluator(report)
    return (
        any(key in document for key in REUSE_KEYS)
        or any(isinstance(entry, dict) and "repeat" in entry for entry in entries)
        or any(evaluator.names(document.get(key)) is not None for key in (*EVALUATED_SECTIONS, "layers", "outputs"))
    )


@dataclass
class _FlatWriter:
    """Writes the flat document."""

    document: Mapping[str, Json]
    templates: TemplateCache
    values: Mapping[str, Json]
    evaluation_scope: EvaluationScope
    layers: list[Json] = field(default_factory=list)
    layer_paths: list[ScopedPath] = field(default_factory=list)
    invalid_paths: list[JsonPath] = field(default_factory=list)
    block_uses: list[tuple[tuple[str, str], ...]] = field(default_factory=list)
    last_name: str = ""
    """The name of the layer before."""

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
            flat, ExpansionSourceMap(self.document, self.layer_paths), self.invalid_paths, self.block_uses
        )

    def _check_block_references(self, scope: Scope, inputs: Mapping[str, str]) -> None:
        """Reports what uses of blocks take and what is not there; of layers that is seen when they are connected."""
        entries = [entry for entry in self.layers if isinstance(entry, dict)]
        names = {entry["name"] for entry in entries if isinstance(entry.get("name"), str)} | inputs.keys()
        missing = set()
        for path, name in scope.resolver.unresolved_names:
            if name.partition(".")[0] not in names:
                known = sorted(scope.symbols)
                help = self.templates.report.suggestion(name, known) or f"there are: {', '.join(known[:20])}"
                self.templates.report.add("unknown-name", path, f"nothing is called {short_name(name)}", help=help)
                missing.add(name)
        for index, entry in enumerate(self.layers if missing else []):
            taken = entry.get("from") if isinstance(entry, dict) else None
            several = taken if isinstance(taken, list) else [taken]
            if any(isinstance(name, str) and name in missing for name in several):
                self.invalid_paths.append(("layers", index, "from"))

    def _evaluate(self, key: str) -> Json:
        return self.templates.evaluator.evaluate(
            self.document[key], self.values, (key,), self.invalid_paths, self.evaluation_scope
        )

    def _is_within_limits(self, template: Template) -> bool:
        """Whether it is no more than is allowed; reported where not."""
        count, path = (
            template.largest_entry if template.largest_entry[0] > MAX_LAYERS else (template.layer_count, ("layers",))
        )
        many, most = f"{count:,} layers", f"{MAX_LAYERS:,}"
        if template.layer_count <= MAX_LAYERS and template.value_count <= DEFAULT_LIMITS.max_values:
            return True
        if template.layer_count <= MAX_LAYERS:
            many, most = f"{template.value_count:,} values", f"{DEFAULT_LIMITS.max_values:,}"
        elif count >= 10**15:
            many = f"more than 10^{len(str(count)) - 1} layers"
        elif not template.is_exact:
            many = f"{many} or more"
        message = f"this comes to {many}, more than {most}"
        self.templates.report.add("too-large", path, message, help="repeat less often")
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
        """Write the layers of a template. `used_step` is the prefix of those whose weights they use, if of others."""
        for step in template.steps:
            sources = [_resolve_ref(ref, prefix, inputs) for ref in step.sources or []]
            outer = prefix if owner is None else owner
            if step.template is not None and step.block is not None:
                given = step.used_step.path if step.used_step else step.path
                uses = (*(block_use.block_uses if block_use else ()), (prefix + step.name, step.block.name))
                use = BlockUse(step.path, given, step.name, step.block, block_use, uses)
                taken = sources if step.sources is not None else [None] * len(step.block.inputs)
                inner = (
                    outer + step.used_step.prefix if step.used_step else None if owner is None else outer + step.prefix
                )
                self.write_layers(step.template, prefix + step.prefix, taken, inner, use)
                continue
            again = outer + step.used_step.name if step.used_step else None if owner is None else outer + step.name
            path: JsonPath = ("layers", len(self.layers))
            self.invalid_paths += [(*path, *wrong[len(step.path) :]) for wrong in step.invalid_paths]
            if block_use is not None and None in sources:
                self.invalid_paths.append((*path, "from"))
            self.layer_paths.append(ScopedPath(step.path, block_use))
            self.block_uses.append(block_use.block_uses if block_use else ())
            self.layers.append(
                self._flat_entry(step, prefix, sources, again) if isinstance(step.body, dict) else step.body
            )
            self.last_name = prefix + step.name

    def _flat_entry(
        self, step: Step, prefix: str, sources: list[str | None], reused_layer: str | None
    ) -> dict[str, Json]:
        """A layer as the flat language has it."""
        body: dict[str, Any] = {"use": reused_layer} if reused_layer and not step.is_use else dict(step.body)
        if reused_layer:
            body["use"] = reused_layer
        if isinstance(body.get("name", ""), str) and (prefix or "name" in body or "blocks" in self.document):
            body["name"] = prefix + step.name
        if step.sources is None or None in sources:
            return body
        written = step.body.get("from")
        before = [self.last_name] if self.layers else list(self._sole_input())[:1]
        if isinstance(written, list):
            body["from"] = sources
        elif isinstance(written, str) or sources != before:
            body["from"] = sources[0]
        return body

    def _sole_input(self) -> Mapping[str, Json]:
        inputs = self.document.get("inputs")
        return inputs if isinstance(inputs, dict) and len(inputs) == 1 else {}

    def _flat_outputs(self, scope: Scope, template: Template) -> dict[str, Json]:
        """The outputs by the names of layers, where those of blocks are written or meant."""
        path: JsonPath = ("outputs",)
        if "outputs" not in self.document:
            last = next((ref for ref in template.outputs.values()), None)
            return {"outputs": last} if isinstance(last, str) and last != self.last_name else {}
        written = self._evaluate("outputs")
        if isinstance(written, str):
            return {"outputs": scope.resolver.resolve(written, path, self.invalid_paths) or written}
        if not isinstance(written, list):
            return {"outputs": written}
        found = [
            (scope.resolver.resolve(name, (*path, at), self.invalid_paths) or name) if isinstance(name, str) else name
            for at, name in enumerate(written)
        ]
        return {"outputs": found}


def _resolve_ref(ref: Ref | None, prefix: str, inputs: Sequence[str | None]) -> str | None:
    return inputs[ref] if isinstance(ref, int) else None if ref is None else prefix + ref
