"""Expands a document into a flat one: blocks, repetitions and expressions become layers and values.

The flat document has no `parameters`, `scales` and `blocks`. Its source map leads from each path to the path in the
original document, where errors are reported.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...core.components import Json
from ...core.diagnostics import Report
from ...core.limits import MAX_JSON_VALUES, MAX_LAYERS
from ..schema.errors import check_against_schema, check_reuse_properties
from ..schema.phrases import known_names_help, short_name
from ..schema.schema import LANGUAGE_VERSION, REPETITION_KEYS, REUSE_KEYS
from .block_definitions import BlockDefinition, check_parameters, read_block_definitions
from .evaluator import EvaluationScope, Evaluator, ExpansionTooLarge
from .flat_writer import EVALUATED_SECTIONS, FlatDocument, FlatWriter
from .library_blocks import used_library_blocks, uses_library
from .parameters import Parameter, read_parameters
from .references import has_patterns
from .repeated_inputs import has_repeated_inputs
from .scope import TemplateCache
from .template import BlockUse
from .unused import check_block_inputs, warn_unused_blocks, warn_unused_globals, warn_unused_parameters


def expand(document: Json, report: Report) -> FlatDocument | None:
    """The flat document; None if the expansion would be too large, which is reported."""
    if not isinstance(document, dict) or not _needs_expansion(document, report):
        return FlatDocument(document)
    check_reuse_properties(document, report)
    library = used_library_blocks(document)
    templates = TemplateCache(read_block_definitions(document, library, report), report)
    parameters = _mapping_at(document, "parameters")
    check_parameters(parameters, ("parameters",), (), report)
    _check_scales(document, parameters, report)
    templates.evaluator.global_names = frozenset(parameters)
    try:
        definitions = read_parameters(parameters, ("parameters",))
        _check_values_given(definitions, report)
        values, invalid_names = templates.parameter_values(definitions, {})
        templates.globals = values
        flat = FlatWriter(document, library, templates, values, EvaluationScope(None, invalid_names)).flat_document()
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
        warn_unused_parameters(block.parameters, names_in_block[block.name], templates.evaluator, report)
    warn_unused_globals(blocks, names_in_block, templates.evaluator.meant_names, report)


def _names_in_block(block: BlockDefinition, evaluator: Evaluator) -> frozenset[str]:
    """The names that the expressions in a block use."""
    defaults = [parameter.default for parameter in block.parameters.values()]
    parts = [block.layers, block.outputs, *block.input_shapes.values(), *defaults]
    return frozenset().union(*(evaluator.names(part) or () for part in parts))


def _check_unused_block(
    document: Mapping[str, Json], library: Mapping[str, Json], block: BlockDefinition, templates: TemplateCache
) -> None:
    """Expands a block with the defaults of its parameters, and reports errors in its layers."""
    writer = FlatWriter(document, library, templates, {}, EvaluationScope())
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
        or has_repeated_inputs(document)
        or any(isinstance(entry, dict) and not entry.keys().isdisjoint(REPETITION_KEYS) for entry in entries)
        or any(isinstance(entry, dict) and "from" in entry and has_patterns(entry["from"]) for entry in entries)
        or uses_library(entries)
        or any(evaluator.names(document.get(key)) is not None for key in (*EVALUATED_SECTIONS, "layers", "outputs"))
    )
