"""Commands about jsonnx itself and its providers: schema, layers, explain, providers, parity."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..core.diagnostics import UsageError
from ..core.providers.known_providers import kernel_table_titles
from .common import (
    EXIT_INVALID_INPUT,
    FORMAT_OPTION,
    SCALE_OPTION,
    SEED_TYPE,
    SET_OPTION,
    handles_errors,
    print_diagnostics,
    print_result,
)

if TYPE_CHECKING:
    from ..render.reference.reference_json import Section


@click.command()
@click.option("-o", "--output", metavar="FILE", help="File to write; standard output if omitted.")
@click.option(
    "--of",
    "subject",
    type=click.Choice(["spec", "run", "lock", "diff", "quantize"]),
    default="spec",
    show_default=True,
    help="What the schema describes: specs, RUN folders, jsonnx.lock or the output of `jsonnx diff` or `quantize`.",
)
@click.option(
    "--structured",
    is_flag=True,
    help="Print a subset for the structured output of language models, within the limits of their vendors.",
)
@click.option(
    "--layers", "layer_names", metavar="TYPE,...", help="Only these layers; with --structured, common ones by default."
)
@click.option(
    "--inputs",
    "input_names",
    metavar="NAME,...",
    help="With --structured: the names of the inputs; by default `input`.",
)
@handles_errors
def schema(
    output: str | None, subject: str, structured: bool, layer_names: str | None, input_names: str | None
) -> None:
    """Print the JSON Schema of specs, for editors and language models; or that of RUN folders."""
    from ..core.files.files import write_atomically

    layers, inputs = _names(layer_names), _names(input_names)
    if subject != "spec" and (structured or layers or inputs):
        raise UsageError(
            "bad-option", f"--structured, --layers and --inputs concern specs, and --of is {subject}", "omit --of"
        )
    if inputs and not structured:
        raise UsageError("bad-option", "--inputs needs --structured", "add --structured")
    text = _schema_text(subject, structured, layers, inputs)
    if output:
        write_atomically(output, text.encode())
    else:
        print_result(text.rstrip("\n"))


def _schema_text(subject: str, structured: bool, layers: Sequence[str], inputs: Sequence[str]) -> str:
    from ..frontend.schema import editor_schema, layer_subset, structured_schema
    from ..render.schemas.diff_schema import diff_schema
    from ..render.schemas.quantize_schema import quantize_schema
    from ..render.schemas.run_schema import lock_schema, run_schema
    from ..render.schemas.schema_parts import schema_text

    if subject != "spec":
        schemas = {"run": run_schema, "lock": lock_schema, "diff": diff_schema, "quantize": quantize_schema}
        return schema_text(schemas[subject]())
    if structured:
        return structured_schema.structured_schema_text(layers, inputs)
    return layer_subset.layer_subset_text(layers) if layers else editor_schema.editor_schema_text()


def _names(text: str | None) -> tuple[str, ...]:
    """The names of a list with commas; none of an option that is not given."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


@click.command(short_help="List layers and library blocks, or show one's arguments.")
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--search", metavar="WORD", help="List everything whose name, arguments or description contain WORD.")
@FORMAT_OPTION
@handles_errors
def layers(name: str | None, search: str | None, format_: str) -> None:
    """List all layers and the library's blocks, or show the arguments of one.

    NAME is a layer, a block of the library, an optimizer, loss, metric, activation, initializer, regularizer or
    constraint; or a kind, such as optimizers, which is listed.
    """
    from .. import library
    from ..render.reference import library_reference as blocks
    from ..render.reference import reference_text as reference
    from ..render.reference.component_reference import KINDS, components_named, plural
    from ..render.reference.reference_json import reference_json
    from ..render.text.terminal import line_width

    is_json = format_ == "json"
    kind = next((kind for kind in KINDS if name in (kind, plural(kind))), None)
    if search is not None and name is not None:
        raise UsageError("bad-option", "--search lists what it finds in all names", "omit the name, or --search")
    if search is not None:
        sections, summaries = reference.found_sections(search), blocks.block_summaries(search)
        if not sections and not summaries and not is_json:
            help = _training_key_help(search) or "`jsonnx layers` lists all layers"
            raise UsageError("unknown-type", f"nothing contains {search!r}", help)
        _print_list(sections, summaries, is_json)
    elif name is None and is_json:
        _print_list(reference.layer_sections(), blocks.block_summaries(), is_json)
    elif name is None:
        print_result(reference.layers_text(line_width(sys.stdout)))
    elif components := components_named(name):
        texts = [reference.reference_text(component) for component in components]
        print_result(_json_text([*map(reference_json, components)]) if is_json else "\n\n".join(texts))
    elif name in library.block_types():
        print_result(_json_text([blocks.block_json(name)]) if is_json else blocks.block_text(name))
    elif kind is not None:
        _print_list([reference.kind_section(kind)], {}, is_json)
    else:
        raise _unknown_type(name)


def _print_list(sections: list[Section], blocks: Mapping[str, str], is_json: bool) -> None:
    """Prints the components of sections, and blocks of the library by their summaries."""
    from ..render.reference.reference_json import list_json
    from ..render.reference.reference_text import list_text
    from ..render.text.terminal import line_width

    if is_json:
        print_result(_json_text(list_json(sections, blocks)))
    else:
        print_result(list_text(sections, blocks, line_width(sys.stdout)))


def _json_text(value: Any) -> str:
    import json

    return json.dumps(value, indent=2)


def _foreign_name_help(name: str) -> str | None:
    """The help for a name of another program, such as `BatchNorm2d` or `CrossEntropyLoss`."""
    from ..frontend.foreign.foreign_help import foreign_name_help
    from ..layers import LAYERS
    from ..render.reference.component_reference import KINDS

    registries = {"layer": LAYERS, **KINDS}
    found = (foreign_name_help(kind, name, registry.by_name) for kind, registry in registries.items())
    return next((help for help in found if help), None)


def _training_key_help(name: str) -> str | None:
    """The description of a key of `training` that is not a component, such as `early_stopping`; None for another
    name."""
    from ..frontend.schema.schema import training_key_doc

    doc = training_key_doc(name)
    return f"it is a key of `training`, see docs/guides/training/index.md: {doc}" if doc else None


def _unknown_type(name: str) -> UsageError:
    from ..core.diagnostics import suggestion
    from ..layers.unsupported import unsupported_layer
    from ..render.reference.component_reference import all_names

    help = _foreign_name_help(name) or _training_key_help(name) or suggestion(name, all_names())
    help = help or f"`jsonnx layers --search {name}` looks in all descriptions"
    return UsageError(*(unsupported_layer(name) or ("unknown-type", f"there is no layer {name!r}", help)))


@click.command()
@click.argument("code", metavar="CODE")
@FORMAT_OPTION
@handles_errors
def explain(code: str, format_: str) -> None:
    """Explain an error code, or why a Keras layer is unsupported."""
    from ..core.diagnostics import suggestion
    from ..render import explanations

    text = explanations.explain(code)
    if text is None:
        help = suggestion(code, explanations.CODES) or "every diagnostic shows its code in brackets"
        raise UsageError("unknown-code", f"there is no error code {code!r}", help)
    print_result(_json_text(explanations.explanation_json(code)) if format_ == "json" else text)


PROVIDERS_HELP = f"""List onnxruntime's providers, or the nodes of a model that they cannot run.

Without an argument: which providers run here, and how to install the others. With a spec, a RUN folder or an ONNX
model: the nodes that onnxruntime runs on the CPU, their layers, and what is copied for them. For
{kernel_table_titles()} tables of their kernels tell, so that no device is needed; a provider that runs here is asked,
with onnxruntime 1.24 or later. A spec is compiled for each provider, as with `jsonnx compile --for`.
"""


@click.command(short_help="List providers, or the nodes of a model that lack a kernel.", help=PROVIDERS_HELP)
@click.argument("spec_or_model", metavar="[SPEC_OR_MODEL]", required=False)
@click.option("--provider", metavar="NAME", help="Show this provider only.")
@SCALE_OPTION
@SET_OPTION
@FORMAT_OPTION
@handles_errors
def providers(
    spec_or_model: str | None, provider: str | None, scale: str | None, changes: tuple[str, ...], format_: str
) -> None:
    """Lists providers, or the nodes of a model that they cannot run."""
    import json

    if spec_or_model is not None:
        from ..pipeline.run.place_nodes import placements
        from ..render.results.placement_text import placements_json, placements_text

        found = placements(spec_or_model, provider, changes, scale)
        print_result(placements_json(found) if format_ == "json" else placements_text(found))
        return

    from ..render.networks.tables import providers_text
    from ..render.text.terminal import line_width, shows_color
    from ..runtime.providers.installed_runtimes import runtime_conflicts
    from ..runtime.providers.provider_availability import provider_availability

    rows = provider_availability(provider)
    if warnings := runtime_conflicts():
        print_diagnostics(warnings, "text")
    if format_ == "json":
        print_result(json.dumps([row._asdict() for row in rows], indent=2))
    else:
        print_result(providers_text(rows, shows_color(sys.stdout), line_width(sys.stdout)))


@click.command()
@click.argument("spec_or_model", metavar="SPEC_OR_MODEL")
@click.option(
    "--providers",
    "names",
    metavar="NAME,...",
    help="Providers to compare, such as cpu,openvino,webgpu; all that start here if omitted.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0, min_open=True),
    default=1e-3,
    show_default=True,
    help="Largest difference relative to the largest element of an output, and to the loss.",
)
@click.option("--batch-size", type=click.IntRange(min=1), default=4, show_default=True, help="Samples in a run.")
@click.option(
    "--steps", type=click.IntRange(min=0), default=10, show_default=True, help="Steps of training; 0 for none."
)
@click.option("--seed", type=SEED_TYPE, default=0, show_default=True, help="Seed of the inputs and of the weights.")
@SCALE_OPTION
@SET_OPTION
@FORMAT_OPTION
@handles_errors
def parity(
    spec_or_model: str,
    names: str | None,
    tolerance: float,
    batch_size: int,
    steps: int,
    seed: int,
    scale: str | None,
    changes: tuple[str, ...],
    format_: str,
) -> None:
    """Compare what providers compute from the same inputs.

    Each provider that starts here runs the model, or for a spec one with drawn weights, on drawn inputs. Its outputs
    are compared with those of the CPU provider without optimizations, and with float64 where the CPU has the kernels; a
    difference is traced to the first node that has it. For a spec with a training section, steps of training are
    compared, too. Exit status 1 if a difference exceeds the tolerance or a provider cannot run the model.
    """
    from ..pipeline.inspect.compare_providers import compare_providers
    from ..render.results.parity_text import parity_json, parity_text
    from ..render.text.terminal import line_width, shows_color
    from ..runtime.parity.parity_report import ParityOptions

    providers = tuple(name.strip() for name in names.split(",") if name.strip()) if names is not None else ()
    options = ParityOptions(providers, tolerance, seed, batch_size, steps, scale, changes)
    report = compare_providers(spec_or_model, options)
    if format_ == "json":
        print_result(parity_json(report))
    else:
        print_result(parity_text(report, shows_color(sys.stdout), line_width(sys.stdout)))
    sys.exit(EXIT_INVALID_INPUT if report.failed else 0)
