"""The tables of execution providers in docs/guides/deploy/providers.md."""

from __future__ import annotations

from ...core.providers.execution_provider import ExecutionProvider, OptionType
from ...core.providers.known_providers import PROVIDERS, providers_of_auto, target_names


def provider_tables() -> list[str]:
    """A row for each provider, then the options of each."""
    lines = [
        "| provider | in onnxruntime | installed by | needs | `auto` | `--for` | kernels | 16-bit types |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *map(_row, PROVIDERS.values()),
        "",
        "### Options",
        "",
        "| provider | options, with their values where they are not any text |",
        "| --- | --- |",
    ]
    return lines + [f"| `{provider.name}` | {_options(provider)} |" for provider in PROVIDERS.values()]


def _row(provider: ExecutionProvider) -> str:
    order = [record.name for record in providers_of_auto()]
    cells = [
        f"`{provider.name}`",
        f"`{provider.ort_name}`",
        _installed_by(provider),
        provider.requirement,
        f"{order.index(provider.name) + 1}" if provider.name in order else "",
        "yes" if provider.name in target_names() else "",
        "table" if provider.kernel_source else "",
        ", ".join(provider.compute_types or ()),
    ]
    return f"| {' | '.join(cells)} |"


def _installed_by(provider: ExecutionProvider) -> str:
    if provider.package is None:
        return "your own build"
    return f"extra `{provider.package.extra}`" if provider.package.extra else f"`{provider.package.name}`"


def _options(provider: ExecutionProvider) -> str:
    if provider.options is None:
        return "any, unchecked"
    return ", ".join(f"`{name}`{_values(type_)}" for name, type_ in provider.options.items()) or "none"


def _values(type_: OptionType) -> str:
    if type_.choices:
        return f" ({', '.join(type_.choices)})"
    return f" (from {type_.minimum})" if type_.minimum is not None else ""
