"""Every code block of the README and of the guides runs, from top to bottom."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import click
import jsonnx
import numpy as np
import pytest
from support.commands import jsonnx as jsonnx_command
from support.document_blocks import Block, PageRunner, blocks_of, merged

ROOT = Path(__file__).parents[2]

PAGES = (
    "README.md",
    "docs/training.md",
    "docs/data.md",
    "docs/python.md",
    "docs/deployment.md",
    "docs/providers.md",
    "docs/from-pytorch.md",
    "docs/from-scikit-learn.md",
    "docs/from-ludwig.md",
    "docs/troubleshooting.md",
    "docs/agents.md",
    "docs/ci.md",
    "docs/editors.md",
    "docs/fixes.md",
    "docs/language.md",
    "docs/lint.md",
    "docs/library.md",
    "docs/keras.md",
    "docs/commands.md",
    "docs/review.md",
    "docs/runs.md",
    "docs/report.md",
    "docs/sweep.md",
    "docs/trackers.md",
    "docs/large-networks.md",
    "docs/distributed.md",
)

SLOW = pytest.mark.slow
SLOW_PAGES = {
    "README.md",
    "docs/training.md",
    "docs/data.md",
    "docs/python.md",
    "docs/deployment.md",
    "docs/troubleshooting.md",
    "docs/report.md",
    "docs/review.md",
    "docs/sweep.md",
}
"""Pages whose blocks run for more than two seconds."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the samples at hand."""
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def run_page(page: str, runner: PageRunner) -> None:
    for block in blocks_of((ROOT / page).read_text("utf-8")):
        try:
            runner.run(block)
        except (Exception, SystemExit) as error:
            pytest.fail(f"{page}:{block.line}: {type(error).__name__}: {error}")


@pytest.mark.costly(3)
@pytest.mark.parametrize("page", [pytest.param(page, marks=SLOW if page in SLOW_PAGES else ()) for page in PAGES])
def test_the_blocks_of_a_page_run(page: str, folder: Path) -> None:
    run_page(page, PageRunner())


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_are_sound(page: str, folder: Path) -> None:
    """The specs are valid, the commands and options exist, the code compiles."""
    run_page(page, PageRunner(only_check=True))


@contextmanager
def web_service(spec: dict[str, Any]) -> Iterator[ThreadingHTTPServer]:
    """The service of the page, with a model of random weights."""
    (source,) = (block.text for block in blocks_of((ROOT / "docs/deployment.md").read_text()) if block.file)
    model = Path("runs/penguins/model.onnx")
    model.parent.mkdir(parents=True)
    jsonnx.compile(spec).save(model)
    service: dict[str, Any] = {"__name__": "serve"}
    exec(source, service)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Quiet", (service["Handler"],), {"log_message": print}))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def test_the_web_service_answers(folder: Path) -> None:
    spec = json.loads(Path("samples/penguins.json").read_text())
    spec["layers"][0]["vocabulary"] = ["Biscoe", "Dream", "Torgersen"]
    spec["layers"][2] |= {"mean": [44.0, 17.0, 200.0, 4200.0], "variance": [30.0, 4.0, 200.0, 640000.0]}
    sample = {"island": "Biscoe", "sex": "male", "measurements": [59.6, 17, 230, 6050]}
    with web_service(spec) as server:
        status, answer = post(server, [sample, sample])
        assert status == 200
        assert [sum(row) == pytest.approx(1) for row in answer["species"]] == [True, True]
        assert set(answer["species_label"]) < {"Adelie", "Chinstrap", "Gentoo"}
        assert post(server, [{"island": "Biscoe"}])[0] == 400
        assert post(server, [sample | {"measurements": [1.0]}])[0] == 400


@pytest.mark.parametrize(
    ("output", "labels", "loss"),
    [
        ({"units": 1, "activation": "sigmoid"}, ["no", "yes"], {"loss": "binary_crossentropy"}),
        ({"units": 1, "activation": "sigmoid"}, ["no", "yes"], {"loss": "binary_crossentropy", "threshold": 0.3}),
        ({"units": 1, "activation": "sigmoid"}, None, {"loss": "binary_crossentropy", "threshold": 0.7}),
        ({"units": 3, "activation": "softmax"}, ["a", "b", "c"], {"loss": "sparse_categorical_crossentropy"}),
        ({"units": 1}, None, {"loss": "mse"}),
    ],
    ids=["sigmoid", "threshold", "threshold without labels", "softmax", "regression"],
)
def test_the_web_service_answers_as_predict_does(
    output: dict[str, Any], labels: list[str] | None, loss: dict[str, Any], folder: Path
) -> None:
    training = {**loss, "optimizer": "sgd", "seed": 3}
    spec: dict[str, Any] = {"inputs": {"x": {"shape": [2]}}, "layers": [{"type": "Dense", "name": "y", **output}]}
    spec |= {"training": training} | ({"labels": labels} if labels else {})
    samples = np.random.default_rng(4).normal(size=(40, 2)).round(3).tolist()
    Path("samples.json").write_text(json.dumps([{"x": sample} for sample in samples]))
    with web_service(spec) as server:
        status, answer = post(server, [{"x": sample} for sample in samples])
    assert status == 200
    predicted = jsonnx_command("predict", "runs/penguins/model.onnx", "--data", "samples.json", "-o", "y.csv")
    assert predicted.exit_code == 0
    _, *rows = [line.split(",") for line in Path("y.csv").read_text().splitlines()]
    if "y_label" in answer:
        assert answer["y_label"] == [row[0] for row in rows]
        assert len({*answer["y_label"]}) > 1
    numbers = [row[1 if "y_label" in answer else 0 :] for row in rows]
    np.testing.assert_allclose(np.array(numbers, float), answer["y"], rtol=1e-6)
    assert ("y_label" in answer) == (labels is not None or "threshold" in loss)


def post(server: ThreadingHTTPServer, samples: object) -> tuple[int, Any]:
    """The status and the JSON value that a service answers."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request("POST", "/", json.dumps(samples))
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def test_every_guide_is_run() -> None:
    pages = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")}
    generated = {"docs/layers.md", "docs/errors.md", "docs/limits.md"}
    for_contributors = {"docs/README.md", "docs/architecture.md", "docs/gradients.md", "docs/performance.md"}
    for_contributors |= {"docs/reliability.md"}
    assert pages - generated - for_contributors <= set(PAGES)


# -- the runner --------------------------------------------------------------------------------------------------------


def block(language: str, text: str, *words: str) -> Block:
    return Block(language, words, text, 1)


SPEC = '{"inputs": {"x": {"shape": [4]}}, "layers": [{"type": "Dense", "units": 2}]}'


@pytest.mark.parametrize(
    "bad",
    [
        block("bash", "jsonnx validate absent.json"),
        block("bash", "false | false"),
        block("bash", "jsonnx layers Dense # exit status 1"),
        block("bash", "jsonnx train spec.json --absent", "no-run"),
        block("python", "1 / 0"),
        block("python", "1 +", "no-run"),
        block("python", "import absent_module", "file=a.py"),
        block("json", '{"inputs": {}}'),
        block("json", '"training": {"loss": "mse"}', "fragment"),
        block("js", "run()"),
        block("cobol", "", "no-run"),
    ],
)
def test_a_wrong_block_is_found(bad: Block, folder: Path) -> None:
    with pytest.raises((AssertionError, Exception)):
        PageRunner().run(bad)


def test_blocks_of_a_page_share_files_and_names(folder: Path) -> None:
    runner = PageRunner()
    for good in (
        block("json", SPEC, "file=specs/a.json"),
        block("bash", "jsonnx validate specs/*.json\njsonnx summary specs/a.json | grep -q Dense"),
        block("json", '"training": {"loss": "mse", "epochs": 3}', "fragment"),
        block("json", '"training": {"loss": "mae"}', "fragment"),
        block("python", "value = 1", "file=module.py"),
        block("python", "from module import value\nother = value + 1"),
        block("python", "assert other == 2"),
        block("bash", "jsonnx validate absent.json # exit status 2: there is no such file"),
    ):
        runner.run(good)
    assert runner.spec["training"] == {"loss": "mae", "epochs": 3}


def test_a_component_in_a_fragment_replaces_the_one_before() -> None:
    document = {"optimizer": {"type": "adam", "beta_1": 0.5}, "epochs": 3}
    assert merged(document, {"optimizer": {"type": "sgd"}}) == {"optimizer": {"type": "sgd"}, "epochs": 3}


def test_blocks_are_found_with_their_lines() -> None:
    text = "a\n\n```bash no-run\nx\n```\n\n```\noutput\n```\n\n- item\n  ```json file=a.json\n  {}\n  ```\n"
    assert list(blocks_of(text)) == [block_at("bash", "x\n", 4, "no-run"), block_at("json", "{}\n", 13, "file=a.json")]


def block_at(language: str, text: str, line: int, *words: str) -> Block:
    return Block(language, words, text, line)


def test_a_command_that_is_not_run_must_parse(folder: Path) -> None:
    PageRunner().run(block("bash", "pip install x\njsonnx train spec.json --provider cuda # a GPU", "no-run"))
    with pytest.raises(click.UsageError):
        PageRunner().run(block("bash", "jsonnx train --absent", "no-run"))
