"""Commands about jsonnx itself: schema, layers, explain, providers."""

from __future__ import annotations

import click

from ..core.diagnostics import UsageError
from .common import FORMAT_OPTION, SCALE_OPTION, SET_OPTION, handles_errors, print_result


@click.command()
@click.option("-o", "--output", metavar="FILE", help="File to write; standard output if omitted.")
@handles_errors
def schema(output: str | None) -> None:
    """Print the JSON Schema of specs, for editors and other tools."""
    from ..core.files import write_atomically
    from ..frontend.schema.editor_schema import editor_schema_text

    if output:
        write_atomically(output, editor_schema_text().encode())
    else:
        print_result(editor_schema_text().rstrip("\n"))


@click.command()
@click.argument("type_", metavar="[TYPE]", required=False)
@handles_errors
def layers(type_: str | None) -> None:
    """List all layer types, or show the reference of one."""
    from ..core.diagnostics import suggestion
    from ..layers import LAYERS
    from ..layers.unsupported import unsupported_layer
    from ..render.tables import layer_text, layers_text

    if type_ is None:
        print_result(layers_text())
    elif type_ in LAYERS.by_name:
        print_result(layer_text(type_))
    else:
        help = suggestion(type_, LAYERS.by_name)
        raise UsageError(*(unsupported_layer(type_) or ("unknown-type", f"there is no layer type {type_!r}", help)))


@click.command()
@click.argument("code", metavar="CODE")
@handles_errors
def explain(code: str) -> None:
    """Explain an error code, or why a Keras layer is unsupported."""
    from ..core.diagnostics import suggestion
    from ..render.explanations import CODES
    from ..render.explanations import explain as explanation

    text = explanation(code)
    if text is None:
        help = suggestion(code, CODES) or "`docs/errors.md` lists all codes"
        raise UsageError("unknown-code", f"there is no error code {code!r}", help)
    print_result(text)


@click.command()
@click.argument("spec_or_model", metavar="[SPEC_OR_MODEL]", required=False)
@click.option("--provider", metavar="NAME", help="Show this provider only.")
@SCALE_OPTION
@SET_OPTION
@FORMAT_OPTION
@handles_errors
def providers(
    spec_or_model: str | None, provider: str | None, scale: str | None, changes: tuple[str, ...], format_: str
) -> None:
    """List onnxruntime's providers, or the nodes of a model that they cannot run.

    Without an argument: which providers run here, and how to install the others. With a spec, a RUN folder or an ONNX
    model: the nodes for which CUDA, DirectML or WebGPU has no kernel, so that onnxruntime runs them on the CPU. No
    device is needed, since kernels are looked up in tables.
    """
    import json

    if spec_or_model is not None:
        from ..pipeline.place_nodes import placements, tables_of
        from ..render.placement_text import placements_json, placements_text

        found = [(table, placements(spec_or_model, table, changes, scale)) for table in tables_of(provider)]
        print_result(placements_json(found) if format_ == "json" else placements_text(found))
        return

    from ..render.tables import providers_text
    from ..runtime.providers import provider_availability

    rows = [row for row in provider_availability() if provider in (None, row.name)]
    print_result(json.dumps([row._asdict() for row in rows], indent=2) if format_ == "json" else providers_text(rows))
