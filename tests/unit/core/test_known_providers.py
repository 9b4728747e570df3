"""The records of execution providers: they agree with each other, and everything reads them."""

from __future__ import annotations

import re
from importlib import import_module, resources
from pathlib import Path

import pytest
from jsonnx.core.providers.execution_provider import ExecutionProvider, unlisted_provider
from jsonnx.core.providers.known_providers import (
    PROVIDERS,
    enumeration,
    providers_of_auto,
    providers_with_kernel_table,
    runtime_packages,
)
from jsonnx.placement import kernel_table

ROOT = Path(__file__).parents[3]

each_provider = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.name)


def test_names_and_ranks_are_unique() -> None:
    records = PROVIDERS.values()
    assert list(PROVIDERS) == [record.name for record in records]
    for names in ([record.ort_name for record in records], [record.title for record in records]):
        assert len(set(names)) == len(records)
    for ranks in ([record.auto_rank for record in records], [record.target_rank for record in records]):
        used = [rank for rank in ranks if rank]
        assert len(set(used)) == len(used)


def test_auto_ends_with_the_cpu_and_builds_no_engines() -> None:
    order = providers_of_auto()
    assert order[-1].name == "cpu"
    assert not any(record.builds_engines for record in order)


@each_provider
def test_options_that_a_record_names_are_options_of_the_provider(provider: ExecutionProvider) -> None:
    named = {*provider.default_options, provider.graph_capture_option} - {None}
    assert named <= {*(provider.options or ())}
    for name, value in provider.default_options.items():
        assert (provider.options or {})[name].parse(value) == value


@each_provider
def test_a_fallback_is_a_provider_of_the_same_package(provider: ExecutionProvider) -> None:
    assert provider.fallback is None or PROVIDERS[provider.fallback].package == provider.package


@each_provider
def test_workarounds_are_in_the_module_that_the_record_names(provider: ExecutionProvider) -> None:
    if provider.workarounds is not None:
        module = import_module(provider.workarounds, "jsonnx")
        assert hasattr(module, "rewrite_model") or hasattr(module, "session_entries")


def test_the_tables_of_kernels_are_those_of_the_records() -> None:
    files = [file.name for file in resources.files("jsonnx.placement").joinpath("kernels").iterdir()]
    assert sorted(files) == sorted(f"{record.name}.json" for record in providers_with_kernel_table())
    assert kernel_table("cpu") is kernel_table("XnnpackExecutionProvider") is None


def test_of_a_provider_that_is_not_listed_only_the_name_is_known() -> None:
    record = unlisted_provider("XnnpackExecutionProvider")
    assert (record.name, record.options, record.compute_types, record.package) == (record.ort_name, None, None, None)
    assert record is unlisted_provider("XnnpackExecutionProvider")
    assert (record.auto_rank, record.target_rank) == (0, 0)


@pytest.mark.parametrize(
    ("names", "text"), [((), ""), (("a",), "a"), (("a", "b"), "a and b"), (("a", "b", "c"), "a, b and c")]
)
def test_names_are_listed_in_a_sentence(names: tuple[str, ...], text: str) -> None:
    assert enumeration(names) == text


def test_the_readme_names_the_extras() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    first, *others = runtime_packages()
    line = next(line for line in text.splitlines() if line.startswith(f'pip install ".[{first}]"'))
    assert set(re.findall(r"\[(\w+)\]", line)) == {first, *others}
