"""The benchmarks' referee with ourselves alone, and the page that is made of their results."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import contest, page  # noqa: E402
from benchmarks.contestants import GEMM, PEAK, TRAINING, Entry  # noqa: E402
from benchmarks.load import Watch, rest  # noqa: E402
from benchmarks.materials import Materials, write  # noqa: E402
from benchmarks.parts import PARTS  # noqa: E402
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
    ours = {name: TRAINING[name] for name in ("jsonnx", "jsonnx-fit")}
    return compete({**ours, "nobody": Entry("nobody", "ours:Nobody"), GEMM: PEAK}, folder, 1, Turns(2, 0.01))


def test_contestants_take_turns(scores):
    for name in ("jsonnx", "jsonnx-fit", GEMM):
        turns = scores[name].rounds + scores[name].shared
        assert len(turns) >= 2, scores[name].failed
        assert all(0 < took < 1000 for took in turns)
    assert scores["jsonnx"].proof == scores["jsonnx-fit"].proof
    assert len({round(loss, 3) for loss in scores["jsonnx"].proof}) == 3  # of different batches


def test_one_that_fails_is_out_and_says_why(scores):
    assert not scores["nobody"].rounds
    assert "Nobody" in scores["nobody"].failed


def test_ratios_are_to_the_best_of_the_others():
    times = {"jsonnx": 3.0, "torch": 2.0, "keras-jax": 4.0, GEMM: 1.0}
    assert contest.best_peer(times) == "torch"
    assert contest.ratio(times, "jsonnx") == 1.5
    assert contest.ratio({"jsonnx": 3.0}, "jsonnx") is None


@pytest.mark.parametrize(("loss", "faults"), [(2.0001, 0), (2.1, 1), (float("nan"), 1)])
def test_other_work_is_told(loss, faults):
    told = {"contestants": {"jsonnx": {"proof": [2.0, 1.9]}, "torch": {"proof": [loss, 1.9]}, "late": {"proof": []}}}
    assert len(contest.disagreements(told)) == faults


def test_turns_that_were_shared_count_where_there_are_few_others():
    assert contest.rounds_of({"rounds": [1.0, 2.0, 3.0], "shared": [9.0]}) == [1.0, 2.0, 3.0]
    assert contest.rounds_of({"rounds": [1.0, 2.0], "shared": [9.0]}) == [1.0, 2.0, 9.0]
    assert contest.rounds_of({"rounds": [], "shared": [9.0]}) == [9.0]


def test_arithmetic_is_that_of_the_papers():
    assert contest.gflop(WORKLOADS["mlp"]) == pytest.approx(3 * 2 * 128 * (784 * 512 + 512 * 10) / 1e9)
    assert contest.gflop(INFERENCE["resnet50-1"]) == pytest.approx(2 * 3.86, rel=0.01)  # multiply-adds: 3.86e9
    assert contest.gflop(INFERENCE["mobilenet_v2-32"]) == pytest.approx(32 * 2 * 0.30, rel=0.01)  # 300e6


@pytest.mark.parametrize("name", WIDER)
def test_other_networks_are_ones_that_keras_has(name, tmp_path):
    write(WIDER[name], tmp_path)
    about = Materials(tmp_path)
    assert about.network == name
    assert len(about.x) == WIDER[name].batches * about.batch


def test_names_tell_workloads_apart():
    assert not WIDER.keys() & WORKLOADS.keys()


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the system does not tell")
def test_a_turn_with_somebody_else_is_noticed():
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


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the system does not tell")
def test_a_turn_begins_when_threads_no_longer_spin():
    spinning = "import time; print(flush=True); end = time.time() + 0.3\nwhile time.time() < end: pass\ninput()"
    with subprocess.Popen([sys.executable, "-c", spinning], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        watch = Watch(process.pid)
        rest(process.pid)
        worked = watch.worked()
        time.sleep(0.1)
        assert worked > 0.05
        assert watch.worked() - worked < 0.01
        process.kill()


def test_results_are_kept_beside_earlier_ones(tmp_path):
    path = tmp_path / "found" / "all.json"
    Results.read(path).add("train", "mlp", {"rounds": [1.23456789, 2.0]}, threads=2)
    Results.read(path).add("train", "cnn", {"rounds": []}, threads=2)
    assert Results.read(path).parts == {"train": {"mlp": {"rounds": [1.235, 2.0]}, "cnn": {"rounds": []}}}


def test_the_page_says_what_the_results_say():
    text = page.PAGE.read_text("utf-8")
    assert page.renewed(text, Results.read(LATEST)) == text, "sh benchmarks/run.sh page"


def test_every_part_has_a_place_in_the_page():
    text = page.PAGE.read_text("utf-8")
    for part in PARTS:
        page.between(text, part, "")
