"""Every code block of the README and of the pages for users runs, from top to bottom.

`make test` checks that specs are valid and commands parse; `make test-docs` runs all pages.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import jsonnx
import numpy as np
import pytest
from support.commands import jsonnx as jsonnx_command
from support.document_blocks import Block, PageRunner, blocks_of, command_lines, merged
from support.serving import running_server

ROOT = Path(__file__).parents[2]

SECTIONS = ("start", "guides", "recipes", "gallery", "language")
"""The folders of docs/ whose pages are for users; all of their code runs."""

PAGES = (
    "README.md",
    *sorted(str(page.relative_to(ROOT)) for name in SECTIONS for page in (ROOT / "docs" / name).rglob("*.md")),
    "docs/internals/conformance.md",
)


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


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run(page: str, folder: Path) -> None:
    runner = PageRunner()
    run_page(page, runner)
    if page in FIGURES:
        FIGURES[page](runner.namespace)


def digit_images(part: str) -> Any:
    """The pixels of handwritten digits, from 0 to 1."""
    with np.load(f"samples/data/digits_{part}.npz") as file:
        return file["image"].reshape(-1, 64) / 16


def check_autoencoder(page: dict[str, Any]) -> None:
    """Decoded digits are near the digits, and drawn ones look like digits."""
    digits, images = digit_images("train"), digit_images("test")
    with np.load("other.npz") as predicted:
        decoded = predicted["picture"].reshape(-1, 64) / 16
    assert ((decoded - images) ** 2).mean() < 0.6 * images.var(axis=0).mean()
    negatives = nearest_distance(1 - digits[:100], digits)
    assert nearest_distance(page["drawn"].reshape(-1, 64) / 16, digits) < 0.6 * negatives


def check_adversarial(page: dict[str, Any]) -> None:
    """Generated digits look like digits, and are of several kinds."""
    digits, generated = digit_images("train"), page["generated"]
    assert nearest_distance(generated, digits) < 0.6 * nearest_distance(1 - digits[:100], digits)
    assert generated.std(axis=0).mean() > 0.5 * digits.std(axis=0).mean()


def check_translation(page: dict[str, Any]) -> None:
    assert page["correct"] > 0.95
    assert (page["candidates"][0] == page["dates"][0]).all()
    assert (np.diff(page["scores"]) < 0).all()


def check_recommendations(page: dict[str, Any]) -> None:
    """Recommended films are nearer to the user than most."""
    affinity = page["users"] @ page["films"].T
    for user, titles in enumerate(page["recommended"]):
        seen = [int(title.removeprefix("film ")) for title in titles.tolist()]
        assert affinity[user, seen].mean() > affinity[user].mean() + affinity[user].std()


def check_siamese(page: dict[str, Any]) -> None:
    assert page["figures"]["accuracy"] > 0.93


def check_word_vectors(page: dict[str, Any]) -> None:
    """Words that stand together have similar vectors."""
    vectors, index = page["vectors"], page["index"]
    pairs = [("romantic", "comedy"), ("special", "effects"), ("good", "time"), ("he", "his")]
    cosines = [vectors[index[first]] @ vectors[index[second]] for first, second in pairs]
    assert np.mean(cosines) > 2 * np.abs(vectors @ vectors.T).mean()


def nearest_distance(images: Any, others: Any) -> float:
    """The mean squared distance to the nearest of the others."""
    distances = ((images[:, None] - others[None]) ** 2).sum(axis=-1)
    return float(distances.min(axis=1).mean())


FIGURES = {
    "docs/recipes/variational-autoencoder.md": check_autoencoder,
    "docs/recipes/generative-adversarial-network.md": check_adversarial,
    "docs/recipes/sequence-to-sequence.md": check_translation,
    "docs/recipes/recommendations.md": check_recommendations,
    "docs/recipes/siamese-network.md": check_siamese,
    "docs/recipes/word-vectors.md": check_word_vectors,
}
"""Checks of what the code of a page computed."""


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_are_sound(page: str, folder: Path) -> None:
    """The specs are valid, the commands and options exist, the code compiles."""
    run_page(page, PageRunner(only_check=True))


OUTPUTS: dict[str, dict[str, Any]] = {
    "sigmoid": {"units": 1, "labels": ["no", "yes"], "loss": "binary_crossentropy"},
    "threshold": {"units": 1, "labels": ["no", "yes"], "loss": "binary_crossentropy", "threshold": 0.3},
    "threshold without labels": {"units": 1, "loss": "binary_crossentropy", "threshold": 0.7},
    "logits": {"units": 1, "labels": ["no", "yes"], "loss": {"type": "binary_crossentropy", "from_logits": True}},
    "softmax": {"units": 3, "labels": ["a", "b", "c"], "loss": "sparse_categorical_crossentropy"},
    "several labels": {"units": 3, "labels": ["a", "b", "c"], "loss": "binary_crossentropy"},
    "thresholds by label": {
        "units": 3,
        "labels": ["a", "b", "c"],
        "loss": "binary_crossentropy",
        "threshold": {"a": 0.4, "c": 0.6},
    },
}
"""Outputs of each kind."""


@pytest.mark.parametrize("output", OUTPUTS)
def test_the_classes_of_the_page_for_programs_are_those_of_predict(output: str, folder: Path) -> None:
    case = OUTPUTS[output]
    activation = {"softmax": "softmax", "logits": None}.get(output, "sigmoid")
    layer = {"type": "Dense", "name": "y", "units": case["units"]} | ({"activation": activation} if activation else {})
    training = {key: case[key] for key in ("loss", "threshold") if key in case} | {"optimizer": "sgd", "seed": 3}
    spec: dict[str, Any] = {"inputs": {"x": {"shape": [2]}}, "layers": [layer], "training": training}
    jsonnx.compile(spec | ({"labels": case["labels"]} if "labels" in case else {})).save("model.onnx")
    samples = np.random.default_rng(4).normal(size=(40, 2)).round(3).astype(np.float32)
    Path("samples.json").write_text(json.dumps([{"x": sample} for sample in samples.tolist()]))
    jsonnx_command("predict", "model.onnx", "--data", "samples.json", "-o", "predicted.json")
    page: dict[str, Any] = {}
    exec(python_functions((ROOT / "docs/guides/deploy/in-your-program.md").read_text()), page)
    chosen = page["classes"](
        json.loads(Path("model.labels.json").read_text())["y"], jsonnx.Session("model.onnx").run(samples)["y"]
    )
    assert len({str(item) for item in chosen}) > 1
    assert json.loads(Path("predicted.json").read_text())["labels"]["y"] == chosen


def python_functions(page: str) -> str:
    """The functions that the Python code of a page defines."""
    (code,) = (block.text for block in blocks_of(page) if block.language == "python" and "def classes" in block.text)
    return "\n".join(ast.unparse(node) for node in ast.parse(code).body if isinstance(node, ast.FunctionDef))


@pytest.mark.slow
def test_the_requests_of_the_serving_pages_are_answered_as_it_says(folder: Path) -> None:
    """The commands of the pages, sent to a server, and the answers that stand below them."""
    jsonnx_command("train", "samples/penguins.json", "-o", "runs/penguins", "--quiet")
    page = "".join((ROOT / "docs/guides/deploy" / name).read_text() for name in ("serving.md", "inference-protocol.md"))
    answered = re.findall(r"```bash no-run\n(curl localhost:8000/.*?)```(?:\n\n```\n(.*?)```)?", page, re.DOTALL)
    assert len(answered) >= 3
    with running_server({"penguins": Path("runs/penguins")}) as server:
        for text, shown in answered:
            *_, last = (
                curl(line.replace("localhost:8000", f"127.0.0.1:{server.port}")) for line in command_lines(text)
            )
            assert "error" not in last
            assert not shown or rounded(last) == rounded(json.loads(shown))


def curl(command: str) -> Any:
    """The JSON value that a command prints."""
    done = subprocess.run(["bash", "-ec", f"{command} --silent --fail-with-body"], capture_output=True, timeout=60)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return json.loads(done.stdout)


def rounded(value: Any) -> Any:
    """A JSON value with two decimals of its numbers, also of those in texts."""
    return re.sub(r"\d+\.\d+(e-\d+)?", lambda match: f"{float(match[0]):.2f}", json.dumps(value))


def test_every_folder_of_the_documents_is_known() -> None:
    folders = {path.name for path in (ROOT / "docs").iterdir() if path.is_dir()}
    assert folders - {*SECTIONS} <= {"internals", "generate", "reference", "project", "images"}


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
