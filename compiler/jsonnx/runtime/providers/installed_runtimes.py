"""The installed distributions of onnxruntime."""

from __future__ import annotations

from ...core.diagnostics import Diagnostic


def installed_runtimes() -> list[str]:
    """The distributions that install onnxruntime."""
    from importlib.metadata import distributions

    addons = ("onnxruntime-ep-", "onnxruntime-extensions", "onnxruntime-genai", "onnxruntime-tools")
    all_names = (distribution.metadata["Name"] for distribution in distributions())
    names = {str(name).lower().replace("_", "-") for name in all_names if name}
    return sorted(
        name
        for name in names
        if name == "onnxruntime" or (name.startswith("onnxruntime-") and not name.startswith(addons))
    )


def runtime_conflicts() -> list[Diagnostic]:
    """A warning if several distributions of onnxruntime are installed over one another."""
    names = installed_runtimes()
    if len(names) < 2:
        return []
    message = f"{' and '.join(names)} overwrite each other's files: the files of either may be imported"
    help = f"pip uninstall -y {' '.join(names)}, then install the one you want"
    return [Diagnostic("runtime-conflict", message, help=help, severity="warning")]
