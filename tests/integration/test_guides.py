"""Every code block of the README and of the guides runs, from top to bottom."""

from __future__ import annotations

import json
import shutil
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import click
import jsonnx
import pytest
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


def test_the_web_service_answers(folder: Path) -> None:
    """With a model of random weights, since only the answer's form matters."""
    (source,) = (block.text for block in blocks_of((ROOT / "docs/deployment.md").read_text()) if block.file)
    model = folder / "runs/penguins/model.onnx"
    model.parent.mkdir(parents=True)
    spec = json.loads(Path("samples/penguins.json").read_text())
    spec["layers"][0]["vocabulary"] = ["Biscoe", "Dream", "Torgersen"]
    spec["layers"][2] |= {"mean": [44.0, 17.0, 200.0, 4200.0], "variance": [30.0, 4.0, 200.0, 640000.0]}
    jsonnx.compile(spec).save(model)
    service: dict[str, Any] = {"__name__": "serve"}
    exec(source, service)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Quiet", (service["Handler"],), {"log_message": print}))
    Thread(target=server.serve_forever, daemon=True).start()
    sample = {"island": "Biscoe", "sex": "male", "measurements": [59.6, 17, 230, 6050]}
    try:
        status, answer = post(server, [sample, sample])
        assert status == 200
        assert [sum(row) == pytest.approx(1) for row in answer["species"]] == [True, True]
        assert set(answer["species_label"]) < {"Adelie", "Chinstrap", "Gentoo"}
        assert post(server, [{"island": "Biscoe"}])[0] == 400
        assert post(server, [sample | {"measurements": [1.0]}])[0] == 400
    finally:
        server.shutdown()
        server.server_close()


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
