"""Commands about jsonnx itself: schema, layers, explain, providers."""

from __future__ import annotations

import click

from ..core.diagnostics import UsageError
from .common import FORMAT_OPTION, handles_errors, print_result


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
    """List all layer types and the blocks of the library, or show the reference of one."""
    from .. import library
    from ..core.diagnostics import suggestion
    from ..layers import LAYERS
    from ..layers.unsupported import unsupported_layer
    from ..render.tables import layer_text, layers_text

    if type_ is None:
        print_result(layers_text())
    elif type_ in LAYERS.by_name or type_ in library.block_types():
        print_result(layer_text(type_))
    else:
        help = suggestion(type_, [*LAYERS.by_name, *library.block_types()])
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
@FORMAT_OPTION
@handles_errors
def providers(format_: str) -> None:
    """List onnxruntime's providers, and how to install them."""
    import json

    from ..render.tables import providers_text
    from ..runtime.providers import provider_availability

    rows = provider_availability()
    print_result(json.dumps([row._asdict() for row in rows], indent=2) if format_ == "json" else providers_text(rows))
