"""The address that a command, an editor or SARIF gives is that of a page that the site has."""

from __future__ import annotations

import json
from functools import cache

import pytest
from generate.codes.code_pages import code_names
from generate.commands.command_pages import command_names
from generate.components.records import records
from generate.pages import generated_pages
from generate.python_names.python_pages import python_names
from jsonnx.cli import main
from jsonnx.core.diagnostics import Diagnostic, UsageError
from jsonnx.core.system.documentation import page_address, site_address
from jsonnx.language_server.features import component_docs
from jsonnx.layers import LAYERS
from jsonnx.library import block_types
from jsonnx.render.diagnostics.diagnostics import render
from jsonnx.render.explanations import CODES, address_of, explain, explanation_json
from jsonnx.render.reference.component_reference import KINDS
from jsonnx.render.reference.component_reference import address_of as component_address
from jsonnx.render.reference.library_reference import block_json, block_text
from support.commands import jsonnx as command

SITE = "https://docs.example/jsonnx"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JSONNX_DOCS_URL", SITE)


@cache
def addresses() -> set[str]:
    """The addresses of all generated pages, of which other tests say that they are generated."""
    paths = {*code_names().values(), *command_names().values(), *python_names().values()}
    paths |= {record.page for record in records()}
    return {f"{SITE}/{path.removesuffix('.md')}.html" for path in paths}


@pytest.mark.slow
def test_the_addresses_are_those_of_generated_pages() -> None:
    assert addresses() <= {f"{SITE}/{path.removesuffix('.md')}.html" for path in generated_pages()}


@pytest.mark.usefixtures("site")
def test_the_address_of_every_code_is_that_of_a_page() -> None:
    for code in CODES:
        address = address_of(code)
        assert address in addresses()
        assert (explain(code) or "").endswith(f"\n\nDocumentation: {address}")
        assert (explanation_json(code) or {})["page"] == address
    log = json.loads(render([Diagnostic(code, "message", file="a.json") for code in CODES], "sarif"))
    for rule in log["runs"][0]["tool"]["driver"]["rules"]:
        assert rule["helpUri"] == address_of(rule["id"])


@pytest.mark.usefixtures("site")
def test_the_address_of_every_component_is_that_of_a_page() -> None:
    for registry in (LAYERS, *KINDS.values()):
        for component in registry:
            address = component_address(component)
            assert address in addresses(), component
            hover = component_docs.component_text(registry.kind, component.type_name)
            assert (hover or "").endswith(f"\n\n[Documentation]({address})")


@pytest.mark.usefixtures("site")
def test_the_address_of_every_block_is_that_of_a_page() -> None:
    for type_ in block_types():
        address = page_address("block", type_)
        assert address in addresses()
        assert (component_docs.component_text("layer", type_) or "").endswith(f"\n\n[Documentation]({address})")
    assert f"\nDocumentation: {address}\n" in block_text(type_)
    assert block_json(type_)["page"] == address


@pytest.mark.usefixtures("site")
def test_the_address_of_every_command_and_name_is_that_of_a_page() -> None:
    import jsonnx

    assert {page_address("command", name) for name in main.commands} <= addresses()
    assert {page_address("function", name) for name in jsonnx.__all__} <= addresses()


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("LSTM", "layers/LSTM"),
        ("ops.softmax", "operators/softmax"),
        ("std.MLP", "blocks/MLP"),
        ("adamw", "optimizers/adamw"),
    ],
)
def test_the_reference_on_the_command_line_has_the_address(name: str, page: str) -> None:
    address = f"{SITE}/reference/{page}.html"
    assert f"\nDocumentation: {address}\n" in command("layers", name).stdout
    (entry,) = json.loads(command("layers", name, "--format", "json").stdout)
    assert entry["page"] == address


def test_nothing_is_printed_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JSONNX_DOCS_URL", raising=False)
    assert address_of("cycle") is None
    assert "Documentation" not in command("explain", "cycle").stdout
    assert "page" not in json.loads(command("explain", "cycle", "--format", "json").stdout)
    assert "Documentation" not in command("layers", "LSTM").stdout
    assert "page" not in json.loads(command("layers", "LSTM", "--format", "json").stdout)[0]
    assert "Documentation" not in (component_docs.component_text("layer", "LSTM") or "")
    assert "helpUri" not in render([Diagnostic("cycle", "message")], "sarif")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", None),
        ("https://docs.example/en/", "https://docs.example/en"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("file:///home/me/build/docs/index.html", "file:///home/me/build/docs"),
        (" https://docs.example ", "https://docs.example"),
    ],
)
def test_an_address_may_end_as_users_write_it(text: str, address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JSONNX_DOCS_URL", text)
    assert site_address() == address


@pytest.mark.parametrize(
    "text",
    [
        *("docs.example", "ftp://docs.example", "https://", "https:docs.example", "/home/me/docs", "file:docs"),
        *("https://docs.example/?page=", "https://docs.example/#a", "https://[docs", "https://a b"),
        "javascript:alert(1)//https://",
    ],
)
def test_what_is_no_address_is_an_error_at_once(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JSONNX_DOCS_URL", text)
    with pytest.raises(UsageError) as raised:
        site_address()
    assert raised.value.diagnostic.code == "bad-option"
    assert "JSONNX_DOCS_URL" in raised.value.diagnostic.message
    commands = (("explain", "cycle"), ("layers", "LSTM"), ("validate", "absent.json", "--format", "sarif"), ("lsp",))
    for arguments in commands:
        result = command(*arguments, status=2)
        assert "error[bad-option]: the environment variable JSONNX_DOCS_URL is" in result.stderr
        assert not result.stdout
