"""Completion in shells: of file names, providers, scales, parameters, layer names and error codes.

Click completes commands and options itself; `docs/guides/tools/command-line.md` says how a shell is set up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

MAX_SPEC_BYTES = 1 << 20
"""Larger specs are not read to complete a name in them."""

Complete = Callable[[click.Context, str], "list[CompletionItem]"]


class CompletedText(click.types.StringParamType):
    """A text argument with a completion."""

    def __init__(self, complete: Complete) -> None:
        self._complete = complete

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return self._complete(ctx, incomplete)


def enable_completion(command: click.Command) -> None:
    """Gives each text argument of a command the completion of its name, or of file names."""
    for parameter in command.params:
        if type(parameter.type) is type(click.STRING):
            parameter.type = CompletedText(COMPLETIONS.get(parameter.name or "", _files))


def _files(context: click.Context, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def _nothing(context: click.Context, incomplete: str) -> list[CompletionItem]:
    return []


def _providers(context: click.Context, incomplete: str) -> list[CompletionItem]:
    from ..core.providers.known_providers import PROVIDERS

    return _matches(["auto", *PROVIDERS], incomplete)


def _provider_options(context: click.Context, incomplete: str) -> list[CompletionItem]:
    from ..core.providers.known_providers import PROVIDERS

    provider = PROVIDERS.get(context.params.get("provider") or "")
    return _matches([f"{name}=" for name in (provider and provider.options) or ()], incomplete)


def _layers(context: click.Context, incomplete: str) -> list[CompletionItem]:
    from ..render.reference.component_reference import all_names

    return _matches(all_names(), incomplete)


def _codes(context: click.Context, incomplete: str) -> list[CompletionItem]:
    from ..render.explanations import CODES

    return _matches(CODES, incomplete)


def _scales(context: click.Context, incomplete: str) -> list[CompletionItem]:
    return _matches(_names_in_specs(context, "scales"), incomplete)


def _parameters(context: click.Context, incomplete: str) -> list[CompletionItem]:
    return _matches([f"{name}=" for name in _names_in_specs(context, "parameters")], incomplete)


COMPLETIONS: dict[str, Complete] = {
    "provider": _providers,
    "provider_options": _provider_options,
    "scale": _scales,
    "changes": _parameters,
    "name": _layers,
    "search": _nothing,
    "code": _codes,
}
"""The completions by parameter of a command."""


def _matches(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _names_in_specs(context: click.Context, key: str) -> list[str]:
    """The names below a key of the specs that the command line names before; none if a spec cannot be read.

    While an option has no value yet, click has not assigned the arguments before it: they are in `context.args`.
    """
    assigned = context.params.get("specs") or [context.params.get("spec")]
    specs = [spec for spec in (*assigned, *context.args) if spec]
    return list(dict.fromkeys(name for spec in specs for name in _names_in_spec(Path(spec), key)))


def _names_in_spec(path: Path, key: str) -> list[str]:
    try:
        document: Any = json.loads(path.read_bytes()) if path.stat().st_size <= MAX_SPEC_BYTES else {}
    except (OSError, ValueError, RecursionError):
        return []
    section = document.get(key) if isinstance(document, dict) else None
    return list(section) if isinstance(section, dict) else []
