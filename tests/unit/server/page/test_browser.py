"""The page in a browser: drawing, typing, keys, widths, colors, errors, the token."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx import Session
from PIL import Image
from support.chromium import Chromium, chromium_path
from support.commands import jsonnx
from support.served_process import ServedProcess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium_path() is None, reason="no Chromium is installed"),
]

SAMPLES = Path(__file__).parents[4] / "samples"
STROKES = {
    "0": [[(0.5, 0.15), (0.3, 0.3), (0.28, 0.6), (0.45, 0.85), (0.65, 0.75), (0.72, 0.45), (0.65, 0.2), (0.5, 0.15)]],
    "1": [[(0.5, 0.15), (0.5, 0.85)]],
    "3": [[(0.3, 0.2), (0.55, 0.15), (0.68, 0.3), (0.45, 0.47), (0.7, 0.62), (0.62, 0.82), (0.3, 0.82)]],
    "7": [[(0.25, 0.2), (0.75, 0.2), (0.6, 0.5), (0.45, 0.85)]],
}
"""The lines of digits, from corner to corner, as fractions of the canvas."""
BILLS = {"bill_length_mm": "39.1", "bill_depth_mm": "18.7", "flipper_length_mm": "181", "body_mass_g": "3750"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, epochs in {"mnist_mlp": 4, "penguins": 30, "reviews": 4, "crashes": 2, "flights": 1}.items():
        jsonnx(
            "train", str(SAMPLES / f"{name}.json"), "-o", str(folder / name), "--quiet",
            *("--set", f"training.epochs={epochs}"),
        )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def address(runs: Path) -> Iterator[str]:
    with ServedProcess([str(run) for run in sorted(runs.iterdir())]) as server:
        yield f"http://localhost:{server.port}/"


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as chromium:
        yield chromium


def show(browser: Chromium, address: str, model: str, width: int = 1280, dark: bool = False) -> None:
    """Opens the page of a model anew."""
    browser.open("about:blank", width, 900, dark)
    browser.open(f"{address}#{model}", width, 900, dark)
    wait_for(browser, f"document.querySelector('h1')?.textContent === {json.dumps(model)}")
    browser.console.clear()


def wait_for(browser: Chromium, condition: str) -> None:
    for _ in range(100):
        if browser.evaluate(f"Boolean({condition})"):
            return
        browser.pause(0.05)
    raise AssertionError(condition + "\n" + str(browser.evaluate("document.body.innerText")))


def draw(browser: Chromium, lines: list[list[tuple[float, float]]]) -> None:
    """Draws lines on the canvas with the mouse."""
    box = browser.evaluate(
        "(() => { const c = document.querySelector('canvas.drawing'); c.scrollIntoView({ block: 'center' });"
        " const b = c.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })()"
    )

    def mouse(kind: str, place: tuple[float, float]) -> None:
        x, y = box[0] + place[0] * box[2], box[1] + place[1] * box[3]
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    for line in lines:
        mouse("mousePressed", line[0])
        for place in line[1:]:
            mouse("mouseMoved", place)
        mouse("mouseReleased", line[-1])


def predict(browser: Chromium) -> str:
    """Asks for a prediction, and returns the decision."""
    browser.evaluate("document.querySelector('.result').replaceChildren()")
    browser.evaluate("document.querySelector('button.main').click()")
    wait_for(browser, "document.querySelector('.result').childElementCount > 0")
    return str(browser.evaluate("document.querySelector('.decision')?.textContent"))


CHANGE = """
((label, value) => {
  const control = [...document.querySelectorAll('label')].find((item) => item.textContent === label).control;
  control.focus();
  control.value = [...(control.options ?? [])].find((option) => option.text === value)?.value ?? value;
  for (const type of ['input', 'change']) control.dispatchEvent(new Event(type, { bubbles: true }));
})
"""


def fill(browser: Chromium, values: dict[str, str]) -> None:
    """Gives the controls with these labels new values, or chooses options."""
    for label, value in values.items():
        browser.evaluate(f"{CHANGE}({json.dumps(label)}, {json.dumps(value)})")


@pytest.mark.parametrize("digit", STROKES)
def test_a_drawn_digit_is_recognised(browser: Chromium, address: str, digit: str) -> None:
    show(browser, address, "mnist_mlp")
    draw(browser, STROKES[digit])
    assert predict(browser) == digit
    names = browser.evaluate("[...document.querySelectorAll('.bars .name')].map((name) => name.textContent)")
    assert sorted(names) == [*"0123456789"]
    assert names[0] == digit


def test_the_row_of_a_penguin_is_predicted_as_jsonnx_predict_does(
    browser: Chromium, address: str, runs: Path, tmp_path: Path
) -> None:
    show(browser, address, "penguins")
    fill(browser, {"island": "Torgersen", "sex": "male"} | BILLS)
    decision = predict(browser)
    row = {"island": "Torgersen", "sex": "male"} | {name: float(value) for name, value in BILLS.items()}
    (tmp_path / "row.json").write_text(json.dumps([row]))
    output = jsonnx("predict", str(runs / "penguins"), "--data", str(tmp_path / "row.json")).stdout.splitlines()
    expected = dict(zip(output[0].split(","), output[1].split(","), strict=True))
    assert decision == expected["species"] == "Adelie"
    shares = browser.evaluate(
        "[...document.querySelectorAll('.bars li')].map((li) => [li.querySelector('.name').textContent,"
        " li.querySelector('.number').textContent])"
    )
    assert shares == [
        [name, f"{100 * float(expected[f'species: {name}']):.1f} %"]
        for name in sorted(("Adelie", "Chinstrap", "Gentoo"), key=lambda name: -float(expected[f"species: {name}"]))
    ]


def test_a_file_gives_the_model_its_pixels(browser: Chromium, address: str, runs: Path, tmp_path: Path) -> None:
    pixels = np.load(SAMPLES / "data" / "mnist_test.npz")["image"][7]
    Image.fromarray(pixels).save(tmp_path / "digit.png")
    show(browser, address, "mnist_mlp")
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call("DOM.querySelector", nodeId=root, selector="input[type=file]")["nodeId"]
    browser.call("DOM.setFileInputFiles", nodeId=node, files=[str(tmp_path / "digit.png")])
    sent = "document.querySelector('.preview').getContext('2d').getImageData(0, 0, 28, 28).data"
    wait_for(browser, f"Math.max(...{sent}.filter((_, index) => index % 4 === 0)) === {pixels.max()}")
    assert browser.evaluate(f"[...{sent}].filter((_, index) => index % 4 === 0)") == pixels.reshape(-1).tolist()
    outputs = Session(runs / "mnist_mlp").run({"image": pixels.reshape(1, 784).astype(np.float32)})
    assert predict(browser) == str(outputs["digit"].argmax())


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("A gem: moving, funny and beautifully acted!", "positive"),
        ("A dull, tedious and pointless mess.", "negative"),
    ],
)
def test_a_typed_review_is_judged(browser: Chromium, address: str, text: str, label: str) -> None:
    show(browser, address, "reviews")
    fill(browser, {"review": text})
    assert predict(browser) == label


def test_a_binary_output_shows_both_classes_and_its_threshold(browser: Chromium, address: str) -> None:
    show(browser, address, "crashes")
    predict(browser)
    assert browser.evaluate("document.querySelectorAll('.bars li').length") == 2
    mark = browser.evaluate("parseFloat(document.querySelector('.bars li:last-child .mark').style.left)")
    form = browser.evaluate("fetch('v2/models/crashes/form').then((answer) => answer.json())")
    assert mark == pytest.approx(100 * form["outputs"][0]["classes"]["threshold"])


def press_tab_until(browser: Chromium, condition: str) -> list[str]:
    """What has had the focus until the condition holds."""
    seen = []
    for _ in range(40):
        browser.press("Tab", 9)
        seen.append(browser.evaluate("document.activeElement.id || document.activeElement.textContent.slice(0, 20)"))
        if browser.evaluate(condition):
            return seen
    raise AssertionError(seen)


def test_a_digit_is_drawn_with_keys(browser: Chromium, address: str) -> None:
    show(browser, address, "mnist_mlp")
    press_tab_until(browser, "document.activeElement.matches('canvas.drawing')")
    assert browser.evaluate("!document.querySelector('.dot').hidden")
    arrows = {"ArrowUp": 38, "ArrowDown": 40}
    for _ in range(9):
        browser.press("ArrowUp", arrows["ArrowUp"])
    browser.press(" ", 32)
    for _ in range(18):
        browser.press("ArrowDown", arrows["ArrowDown"])
    browser.press(" ", 32)
    press_tab_until(browser, "document.activeElement.matches('button.main')")
    browser.press("Enter", 13)
    wait_for(browser, "document.querySelector('.decision')")
    assert browser.evaluate("document.querySelector('.decision').textContent") == "1"
    assert browser.evaluate("document.querySelector('.result').getAttribute('aria-live')") == "polite"


def test_a_row_is_filled_in_with_keys(browser: Chromium, address: str) -> None:
    show(browser, address, "penguins")
    order = press_tab_until(browser, "document.activeElement.matches('button.main')")
    assert order[-7:-1] == [f"field-{index}" for index in range(6)]
    browser.press("Enter", 13)
    wait_for(browser, "document.querySelector('.decision')")


def test_every_control_has_a_label(browser: Chromium, address: str) -> None:
    for model in ("crashes", "flights", "mnist_mlp", "penguins", "reviews"):
        show(browser, address, model)
        unnamed = (
            "[...document.querySelectorAll('input, select, textarea, canvas.drawing')].filter((c) =>"
            " !c.hidden && !c.labels?.length && !c.getAttribute('aria-label')).map((c) => c.outerHTML)"
        )
        assert browser.evaluate(unnamed) == []


def test_errors_stand_beside_the_field_that_they_name(browser: Chromium, address: str) -> None:
    show(browser, address, "penguins")
    fill(browser, {"bill_depth_mm": ""})
    predict(browser)
    wrong = "[...document.querySelectorAll('.field:has([aria-invalid]) > label')].map((label) => label.textContent)"
    assert browser.evaluate(wrong) == ["bill_depth_mm"]
    assert browser.evaluate("document.activeElement.id") == "field-3"
    show(browser, address, "flights")
    fill(browser, {"scheduled": "soon"})
    predict(browser)
    assert browser.evaluate(wrong) == ["scheduled"]
    error = browser.evaluate("document.querySelector('.field:has([aria-invalid]) .error').textContent")
    assert "'soon'" in error
    fill(browser, {"scheduled": "2013-07-01 12:00"})
    assert predict(browser) in ("on time", "late")
    assert browser.evaluate(wrong) == []


CONTRAST = """
(() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = channels(color).slice(0, 3).map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const color = getComputedStyle(element).backgroundColor;
      if (channels(color)[3] !== 0) return color;
    }
    return getComputedStyle(document.body).backgroundColor;
  };
  return [...document.querySelectorAll('body *')].filter((element) =>
    element.checkVisibility() && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())
  ).map((element) => {
    const [a, b] = [light(getComputedStyle(element).color), light(ground(element))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), element.outerHTML.slice(0, 80)];
  }).filter(([ratio]) => ratio < 4.5);
})()
"""
"""The texts of less contrast than the Web Content Accessibility Guidelines ask for."""


@pytest.mark.parametrize("width", [1280, 375])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("page", ["penguins", "mnist_mlp", "flights", "docs"])
def test_pages_fit_and_can_be_read(browser: Chromium, address: str, page: str, dark: bool, width: int) -> None:
    if page == "docs":
        browser.open(f"{address}docs", width, 900, dark)
        wait_for(browser, "document.querySelector('h1')")
        browser.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    else:
        show(browser, address, page, width, dark)
        fill(browser, {"scheduled": "soon"} if page == "flights" else {})
        predict(browser)
    browser.pause(0.3)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(CONTRAST) == []
    foreign = [line for line in browser.console if not line.startswith(f"request {address}")]
    assert [line for line in foreign if "400 (Bad Request)" not in line] == []


@pytest.mark.parametrize("model", ["penguins", "crashes", "reviews", "mnist_mlp"])
def test_the_python_examples_run(browser: Chromium, address: str, model: str) -> None:
    show(browser, address, model)
    decision = predict(browser)
    browser.evaluate("document.querySelector('input[value=python]').click()")
    programs = browser.evaluate("[...document.querySelectorAll('.copy pre')].map((pre) => pre.textContent)")
    assert len(programs) == 2
    for program in programs:
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stderr
        assert ("'prediction'" if "/predict/" in program else "'outputs'") in result.stdout
    if model != "mnist_mlp":  # whose examples have one number for all pixels
        assert (
            f"'label': '{decision}'"
            in subprocess.run([sys.executable, "-c", programs[0]], capture_output=True, text=True, timeout=60).stdout
        )


@pytest.mark.parametrize("model", ["penguins", "reviews"])
def test_the_other_examples_run(browser: Chromium, address: str, model: str) -> None:
    show(browser, address, model)
    texts = "[...document.querySelectorAll('.copy pre')].map((pre) => pre.textContent)"
    browser.evaluate("document.querySelector('input[value=curl]').click()")
    for program in browser.evaluate(texts):
        result = subprocess.run(["sh", "-c", program], capture_output=True, text=True, timeout=60)
        answer: dict[str, Any] = json.loads(result.stdout)
        assert "prediction" in answer or "outputs" in answer
    browser.evaluate("document.querySelector('input[value=javascript]').click()")
    for program in browser.evaluate(texts):
        shown = program.replace("console.log(", "return (")
        answer = browser.evaluate(f"(async () => {{ {shown} }})()")
        assert "prediction" in answer or "outputs" in answer


def test_a_server_with_a_token_asks_for_it(browser: Chromium, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("open-sesame")
    with ServedProcess([str(runs / "penguins")], "--token-file", str(tmp_path / "token")) as server:
        browser.open(f"{server.url}/")
        for token in ("wrong", "open-sesame"):
            wait_for(browser, "document.querySelector('dialog[open] input')")
            browser.evaluate(f"document.querySelector('dialog input').value = {json.dumps(token)}")
            browser.evaluate("document.querySelector('dialog button').click()")
        wait_for(browser, "document.querySelector('h1')?.textContent === 'penguins'")
        predict(browser)
        assert browser.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        curl = browser.evaluate("document.querySelector('.copy pre').textContent")
        assert '-H "Authorization: Bearer $TOKEN"' in curl
        assert "sesame" not in browser.evaluate("document.documentElement.outerHTML")
