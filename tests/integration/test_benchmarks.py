"""The benchmarks with jsonnx as the only contestant, and the page of their results."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import contest, page  # noqa: E402
from benchmarks.contestants import DISTRIBUTED, GEMM, PEAK, TRAINING, Entry  # noqa: E402
from benchmarks.load import Watch, rest  # noqa: E402
from benchmarks.materials import Materials, write  # noqa: E402
from benchmarks.parts import PARTS, distributed  # noqa: E402
from benchmarks.referee import Turns, compete  # noqa: E402
from benchmarks.results import LATEST, Results  # noqa: E402
from benchmarks.workloads import INFERENCE, WIDER, Workload  # noqa: E402
from benchmarks.workloads import TRAINING as WORKLOADS  # noqa: E402
from benchmarks.workloads.workload import network, trained  # noqa: E402

TINY = Workload("tiny", "6-10", trained(network({"shape": [6]}, []), 4), 4, "tiny")


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    write(TINY, folder)
    jsonnx_entries = {name: TRAINING[name] for name in ("jsonnx", "jsonnx-fit")}
    return compete({**jsonnx_entries, "nobody": Entry("nobody", "ours:Nobody"), GEMM: PEAK}, folder, 1, Turns(2, 0.01))


def test_every_contestant_is_measured_in_turns(scores):
    for name in ("jsonnx", "jsonnx-fit", GEMM):
        turns = scores[name].rounds + scores[name].shared
        assert len(turns) >= 2, scores[name].failed
        assert all(0 < took < 1000 for took in turns)
    assert scores["jsonnx"].proof == scores["jsonnx-fit"].proof
    assert len({round(loss, 3) for loss in scores["jsonnx"].proof}) == 3  # the batches differ


def test_a_failing_contestant_has_no_times_but_a_reason(scores):
    assert not scores["nobody"].rounds
    assert "Nobody" in scores["nobody"].failed


@pytest.mark.costly(3)
def test_two_processes_train_on_the_batches_of_one(scores, tmp_path):
    write(TINY, tmp_path)
    pairs = {name: DISTRIBUTED[name] for name in ("jsonnx-2", "jsonnx-2x4")}
    for score in compete(pairs, tmp_path, 1, Turns(1, 0.01)).values():
        assert score.failed == ""
        assert score.proof == pytest.approx(scores["jsonnx"].proof, rel=1e-5)
        assert all(0 < took < 1000 for took in score.processor)


def test_the_efficiency_of_two_processes_is_relative_to_twice_the_time():
    times = {"jsonnx": [12.0], "jsonnx-2": [8.0], "torch": [10.0], "torch-2": [6.0]}
    scores = {n: {"rounds": t, "shared": [], "processor": t, "proof": [], "failed": ""} for n, t in times.items()}
    wall, processor = distributed.tables({"mlp": {"contestants": scores}})
    assert wall.rows == [["mlp", "12", "10", "8", "-", "6", "75%", "-", "83%"]]
    assert processor.rows == wall.rows


def test_ratios_are_relative_to_the_fastest_peer():
    times = {"jsonnx": 3.0, "torch": 2.0, "keras-jax": 4.0, GEMM: 1.0}
    assert contest.best_peer(times) == "torch"
    assert contest.ratio(times, "jsonnx") == 1.5
    assert contest.ratio({"jsonnx": 3.0}, "jsonnx") is None


@pytest.mark.parametrize(("loss", "errors"), [(2.0001, 0), (2.1, 1), (float("nan"), 1)])
def test_a_contestant_with_other_losses_is_reported(loss, errors):
    result = {"contestants": {"jsonnx": {"proof": [2.0, 1.9]}, "torch": {"proof": [loss, 1.9]}, "late": {"proof": []}}}
    assert len(contest.disagreements(result)) == errors


def test_disturbed_turns_count_only_if_there_are_few_others():
    assert contest.rounds_of({"rounds": [1.0, 2.0, 3.0], "shared": [9.0]}) == [1.0, 2.0, 3.0]
    assert contest.rounds_of({"rounds": [1.0, 2.0], "shared": [9.0]}) == [1.0, 2.0, 9.0]
    assert contest.rounds_of({"rounds": [], "shared": [9.0]}) == [9.0]


def test_operation_counts_equal_those_of_the_papers():
    assert contest.gflop(WORKLOADS["mlp"]) == pytest.approx(3 * 2 * 128 * (784 * 512 + 512 * 10) / 1e9)
    assert contest.gflop(INFERENCE["resnet50-1"]) == pytest.approx(2 * 3.86, rel=0.01)  # multiply-adds: 3.86e9
    assert contest.gflop(INFERENCE["mobilenet_v2-32"]) == pytest.approx(32 * 2 * 0.30, rel=0.01)  # 300e6


@pytest.mark.costly(2)
@pytest.mark.parametrize("name", WIDER)
def test_the_materials_of_further_networks_can_be_written_and_read(name, tmp_path):
    write(WIDER[name], tmp_path)
    materials = Materials(tmp_path)
    assert materials.network == name
    assert len(materials.x) == WIDER[name].batches * materials.batch


def test_names_of_workloads_are_unique():
    assert not WIDER.keys() & WORKLOADS.keys()


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the system has no scheduler statistics")
def test_a_turn_is_disturbed_by_other_processes():
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        time.sleep(0.2)
        watch = Watch(busy[0].pid)
        time.sleep(0.5)
        assert watch.shared()
    finally:
        for process in busy:
            process.kill()
            process.wait()


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the system has no scheduler statistics")
def test_rest_waits_until_threads_no_longer_spin():
    spinning = "import time; print(flush=True); \nwhile time.process_time() < 0.3: pass\ninput()"
    with subprocess.Popen([sys.executable, "-c", spinning], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        watch = Watch(process.pid)
        rest(process.pid)
        worked = watch.worked()
        time.sleep(0.1)
        assert worked > 0.05
        assert watch.worked() - worked < 0.01
        process.kill()


def test_new_results_are_added_to_earlier_ones(tmp_path):
    path = tmp_path / "results" / "all.json"
    Results.read(path).add("train", "mlp", {"rounds": [1.23456789, 2.0]}, threads=2)
    Results.read(path).add("train", "cnn", {"rounds": []}, threads=2)
    assert Results.read(path).parts == {"train": {"mlp": {"rounds": [1.235, 2.0]}, "cnn": {"rounds": []}}}


def test_the_page_is_up_to_date_with_the_results():
    text = page.PAGE.read_text("utf-8")
    assert page.updated_text(text, Results.read(LATEST)) == text, "sh benchmarks/run.sh page"


def test_the_page_has_a_marker_for_every_part():
    text = page.PAGE.read_text("utf-8")
    for part in PARTS:
        page.between(text, part, "")
