"""Options of execution providers, as users write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...core.diagnostics import UsageError, suggestion
from ...core.providers.execution_provider import ExecutionProvider

ProviderOptions = Mapping[str, "str | int | bool"]
"""Options by name, as a user writes them."""


def parse_options(provider: ExecutionProvider, options: ProviderOptions) -> dict[str, str]:
    """The options as onnxruntime takes them. Raises UsageError `bad-provider-option`, TypeError."""
    if not isinstance(options, Mapping):
        raise TypeError(f"provider_options is a dict of names and values, got {type(options).__name__}")
    return {str(name): _parse_option(provider, str(name), value) for name, value in options.items()}


def _parse_option(provider: ExecutionProvider, name: str, value: object) -> str:
    types = provider.options
    if types is None:
        return str(value)
    if name not in types:
        known = f"its options: {', '.join(types)}" if types else "it has no options; `threads` sets its threads"
        raise _bad_option(f"the provider {provider.name!r} has no option {name!r}", suggestion(name, types) or known)
    try:
        return types[name].parse(value)
    except ValueError as error:
        raise _bad_option(f"the option {name!r} of {provider.name!r} is {error}, got {value!r}") from None


def parse_assignments(assignments: Iterable[str]) -> dict[str, str]:
    """The options of `KEY=VALUE` texts; the last one of a name applies. Raises UsageError `bad-provider-option`."""
    options: dict[str, str] = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            help = "such as --provider-option device_id=1"
            raise _bad_option(f"--provider-option takes KEY=VALUE, got {text!r}", help)
        options[name.strip()] = value.strip()
    return options


def _bad_option(message: str, help: str | None = None) -> UsageError:
    return UsageError("bad-provider-option", message, help)
