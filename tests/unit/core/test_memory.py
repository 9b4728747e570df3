"""The memory that a process may use, by the machine, its control groups and its own limit."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.core.limits import bytes_text
from jsonnx.core.system import memory
from jsonnx.core.system.memory import MIN_CHECKED_BYTES, available_memory, memory_limit, require_memory

GB = 10**9


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (1_250_000, "1.2 MB"),
        (4 * 10**12, "4.0 TB"),
        (5 * 10**15, "5,000.0 TB"),
    ],
)
def test_bytes_have_a_unit(size: int, text: str) -> None:
    assert bytes_text(size) == text


def test_available_memory_is_within_the_limit() -> None:
    assert 0 < available_memory() <= memory_limit()


@pytest.mark.parametrize(
    ("limit_file", "usage_file"),
    [("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")],
)
def test_a_control_group_limits_memory_and_its_cached_files_are_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit_file: str, usage_file: str
) -> None:
    (tmp_path / limit_file).write_text("1000000\n")
    (tmp_path / usage_file).write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 400000\ninactive_file 200000\nactive_file 50000\n")
    limits = [*memory._cgroup_limits(tmp_path, tmp_path / "none")]
    assert limits == [(tmp_path / limit_file, 1_000_000)]
    monkeypatch.setattr(memory, "_cgroup_limits", lambda: limits)
    assert (memory_limit(), available_memory()) == (1_000_000, 550_000)


def test_a_control_group_without_a_limit_or_statistics_is_none(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    assert [*memory._cgroup_limits(tmp_path, tmp_path / "none")] == []
    (tmp_path / "memory.max").write_text("1000\n")
    assert memory._group_available(tmp_path / "memory.max", 1000) == 1000


def test_the_limit_of_the_process_counts() -> None:
    code = "from jsonnx.core.system.memory import available_memory as a; print(a())"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, preexec_fn=limit)
    assert 0 < int(result.stdout) < 1 << 30


def test_a_task_beyond_the_memory_is_refused_with_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 5 * GB)
    require_memory("the training", {"weights": 3 * GB, "slots": 2 * GB})
    with pytest.raises(CompileError) as caught:
        require_memory("the training", {"weights": 3 * GB, "slots": 6 * GB, "gradients": 0}, "spec.json")
    (error,) = caught.value.diagnostics
    assert (error.code, error.file) == ("too-large", "spec.json")
    expected = "the training needs 9.0 GB of memory (weights 3.0 GB, slots 6.0 GB), and this machine has 5.0 GB"
    assert error.message == f"{expected} available"


def test_a_small_task_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 0)
    require_memory("the model", {"weights": MIN_CHECKED_BYTES - 1})
