"""The benchmark of large networks on their tiny forms, without PyTorch, and the page of its results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from jsonnx.lowering.cost import cost_table  # noqa: E402
from jsonnx.pipeline.check.check import check_spec  # noqa: E402
from jsonnx.pipeline.compile.graphs import costed_graph  # noqa: E402

from benchmarks import load  # noqa: E402
from benchmarks.large import measure, tables  # noqa: E402
from benchmarks.large.measure import Plan  # noqa: E402
from benchmarks.large.networks import NETWORKS  # noqa: E402
from benchmarks.large.trainers import Ours, OursWithRemat  # noqa: E402
from benchmarks.results import Results  # noqa: E402

BY_FAMILY = {network.family_name: name for name, network in reversed(NETWORKS.items())}


def plan(folder: Path, *contestants: str) -> Plan:
    return Plan(contestants, 1, 2, 1, folder, max_minutes=2, tell=lambda text: None, tiny=True)


def test_a_network_is_trained_and_saved_in_processes_of_its_own(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(measure.FRAMEWORKS, "torch", "absent")
    *_, result = measure.measure("gpt2-124m", plan(tmp_path, "jsonnx", "torch"))
    assert result["disagreements"] == []
    assert result["contestants"]["torch"] == {"runs": [], "failed": "absent is not installed", "proof": []}
    score = result["contestants"]["jsonnx"]
    assert score["failed"] == ""
    (run,) = score["runs"]
    assert len(run["losses"]) == 3
    assert run["losses"][-1] < run["losses"][0]
    assert 0.05 < run["resting_gb"] <= run["steps_peak_gb"] < 1
    assert 0 < run["step_seconds"] < run["first_step_seconds"] < 60
    assert run["checkpoint_file_gb"] > 2 * run["model_file_gb"] > 0  # with both slots of Adam
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("family", BY_FAMILY)
def test_the_tiny_form_of_a_network_learns_its_batch(family: str) -> None:
    network = NETWORKS[BY_FAMILY[family]]
    trainer, with_remat = (kind(network, True, 1, None) for kind in (Ours, OursWithRemat))
    losses = [trainer.step() for _ in range(5)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert with_remat.step() == pytest.approx(losses[0], rel=1e-5)


@pytest.mark.parametrize("name", ["gpt2-124m", "vit-l", "lstm-4x1024", "resnet-300m"])
def test_networks_have_the_stated_number_of_parameters(name: str) -> None:
    network = NETWORKS[name]
    checked = check_spec(network.spec(tiny=False))
    parameters = sum(row.parameters for row in cost_table(checked.require(), costed_graph(checked)))
    assert parameters == pytest.approx(network.parameters, rel=0.01)


def test_a_network_that_does_not_fit_into_memory_is_skipped(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(measure, "available_memory", lambda: 4 << 30)
    full = Plan(("jsonnx",), 1, 1, 1, tmp_path, 1, tell=lambda text: None)
    (result,) = measure.measure("gpt2-774m", full)
    assert result["skipped"] == "needs more than 9 GiB of memory, and 4 are available"
    (memory, *_) = tables.tables({"gpt2-774m": result})
    assert memory.notes == ["gpt2-774m: needs more than 9 GiB of memory, and 4 are available."]


@pytest.mark.parametrize(
    ("available_bytes", "max_minutes", "reason"),
    [(1 << 20, 1.0, "the machine's memory is exhausted: it had "), (1 << 40, 0.0, "not finished after 0 minutes")],
)
def test_a_process_that_takes_too_much_is_ended(
    available_bytes: int, max_minutes: float, reason: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(measure, "available_memory", lambda: available_bytes)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert measure._wait(process, max_minutes).startswith(reason)
        assert process.returncode


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system cannot reset peaks")
def test_the_peak_of_memory_can_be_reset() -> None:
    np.ones(10_000_000)
    peak = load.peak_memory()
    load.reset_peak_memory()
    assert load.peak_memory() < peak - 50


def test_ratios_and_failures_are_in_the_table() -> None:
    run = {"first_step_peak_gb": 3.0, "steps_peak_gb": 4.0, "step_seconds": 1.0}
    contestants = {
        "jsonnx": {"runs": [run, {**run, "steps_peak_gb": 2.0}, run], "failed": ""},
        "jsonnx-remat": {"runs": [], "failed": "too-large"},
        "torch": {"runs": [{**run, "steps_peak_gb": 5.0}], "failed": ""},
    }
    results = {
        "net": {
            "about": "about",
            "parameters": 2e6,
            "contestants": contestants,
            "disagreements": ["late begins with 1, torch 2"],
        }
    }
    memory, _, steps, *_ = tables.tables(results)
    assert memory.rows == [["net", "4", "-", "5", "0.80", "-"]]
    assert memory.notes[0] == 'net, jsonnx, `"remat": "full"`: too-large.'
    assert "late begins" in memory.notes[1]
    assert steps.rows == [["net", "1", "-", "1", "1.00", "-"]]
    about = {"date": "today", "processor": "CPU", "threads": 2, "versions": {"torch": "2"}}
    page = tables.updated_text("<!-- large -->\n<!-- end -->", Results(None, about, {"large": results}))
    assert "Measured on today on CPU with 2 threads;\ntorch 2." in page
    assert "|net| about| 2 million|\n\n**Peak of a training, GB**" in page


def test_the_page_of_large_networks_is_up_to_date_with_the_results() -> None:
    text = tables.PAGE.read_text("utf-8")
    assert tables.updated_text(text, Results.read(tables.LATEST)) == text, "sh benchmarks/run.sh large page"
