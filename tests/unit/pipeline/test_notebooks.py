"""What notebooks show of a Trainer, a History, a Model and a Run, and the drawings of matplotlib."""

from __future__ import annotations

import copy
import json
import pickle
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx import CompileError, Run, Trainer, UsageError, compile
from jsonnx.pipeline.compile import plot_network as plot_network_module
from jsonnx.pipeline.compile.plot_network import (
    MAX_DRAWN_LAYERS,
    DiagramNode,
    diagram_nodes,
    diagram_places,
    plot_network,
)
from jsonnx.runtime.execution.history import History
from support.colors import contrast
from support.commands import jsonnx as command

RESIDUAL: dict[str, Any] = {
    "name": "residual",
    "inputs": {"x": {"shape": [4]}},
    "layers": [
        {"type": "Dense", "name": "a", "units": 4},
        {"type": "Dense", "name": "b", "units": 4},
        {"type": "Add", "name": "sum", "from": ["a", "b"]},
        {"type": "Dense", "name": "y", "units": 1},
    ],
    "training": {"loss": "mse", "metrics": ["mae"]},
}


class Cells(HTMLParser):
    """The texts of a table."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def a_run(folder: Path) -> Run:
    folder.mkdir()
    monitor = {"figure": "val_loss", "mode": "min"}
    info = {"data_folder": ".", "spec": "a.json", "state": "finished", "monitor": monitor, "test": {"loss": 0.25}}
    (folder / "run.json").write_text(json.dumps(info))
    lines = [{"epoch": epoch, "loss": 1 / (epoch + 1), "val_loss": None, "f1": [1.0]} for epoch in range(2)]
    lines[1]["val_loss"] = 0.5
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Run(folder)


def test_notebooks_show_tables(tmp_path: Path) -> None:
    trainer = Trainer(RESIDUAL)
    untrained = Cells(trainer._repr_html_()).texts
    assert untrained[:5] == [f"Untrained {repr(trainer)[1:-1]}", "layer", "type", "output", "parameters"]
    assert untrained[-4:-1] == ["y", "Dense", "float32[batch, 1]"]
    history = trainer.fit(np.ones((8, 4), np.float32), np.ones((8, 1), np.float32), epochs=2, verbose=0)
    cells = Cells(history._repr_html_()).texts
    assert cells[:6] == ["2 epochs", "first", "last", "least", "greatest", "loss"]
    assert cells[6:8] == [f"{value:.6g}" for value in history.history["loss"]]
    assert "mae" in Cells(trainer._repr_html_()).texts
    texts = Cells(trainer.model()._repr_html_()).texts
    assert texts[1:] == ["layer", "type", "output", "parameters", *texts[5:]]
    assert [text for text in texts if text in ("a", "b", "sum", "y")] == ["a", "b", "sum", "y"]
    run = Cells(a_run(tmp_path / "run")._repr_html_()).texts
    assert run[0].endswith("run: finished, 2 epochs, best val_loss 0.5 in epoch 2")
    assert run[-2:] == ["test loss", "0.25"]
    assert "f1" not in run


def test_a_trained_trainer_shows_curves() -> None:
    trainer = Trainer(RESIDUAL)
    history = trainer.fit(np.ones((8, 4), np.float32), np.ones((8, 1), np.float32), epochs=4, verbose=0)
    assert history.history["loss"] == sorted(history.history["loss"], reverse=True)
    cells = Cells(trainer._repr_html_()).texts
    assert cells[:6] == [repr(trainer)[1:-1], "first", "last", "least", "greatest", "by epoch"]
    curve = cells[cells.index("loss") + 5]
    assert (len(curve), curve[0], curve[-1]) == (4, "█", "▁")


def test_errors_are_short_in_a_notebook() -> None:
    with pytest.raises(CompileError) as caught:
        Trainer({**RESIDUAL, "training": {"loss": lambda y_true, y_pred: y_pred}})
    *calls, message = caught.value._render_traceback_()
    assert all("test_notebooks" in line for line in calls)
    assert message == f"CompileError: {caught.value}"


def test_one_epoch_is_no_plural() -> None:
    trainer = Trainer(RESIDUAL)
    history = trainer.fit(np.ones((8, 4)), np.ones((8, 1)), epochs=1, verbose=0)
    assert "<caption>1 epoch</caption>" in history._repr_html_()
    assert ", 1 step done, " in repr(trainer)


@pytest.mark.parametrize("use", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_trainer_that_is_pickled_says_what_to_keep(use: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"a Trainer cannot be pickled or copied: .* save_checkpoint"):
        use(Trainer(RESIDUAL))


def test_a_model_shows_its_diagram_if_matplotlib_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = compile(RESIDUAL)
    monkeypatch.setattr(
        "jsonnx.pipeline.compile.plot_network.network_image", lambda rows, inputs, format: b"<?xml?>\n<svg>a</svg>"
    )
    assert model._repr_html_().endswith("<details><summary>diagram</summary><svg>a</svg></details>")
    monkeypatch.setattr("jsonnx.pipeline.compile.plot_network.MAX_EMBEDDED_LAYERS", 1)
    assert model._repr_html_().endswith("</table>")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert model._repr_html_().endswith("</table>")


def test_the_places_of_a_diagram_follow_the_paths_from_the_inputs() -> None:
    model = compile(RESIDUAL)
    nodes = diagram_nodes(model.rows(), model.inputs)
    assert nodes[0] == DiagramNode("x", "x\nfloat32[batch, 4]", (), "input")
    assert {node.name: node.sources for node in nodes}["sum"] == ("a", "b")
    places = diagram_places(nodes)
    assert [places[name][1] for name in ("x", "a", "b", "sum", "y")] == [0, 1, 2, 3, 4]
    branches = [DiagramNode("x", "", ()), *(DiagramNode(name, "", ("x",)) for name in "abc")]
    assert [place[0] for place in diagram_places(branches).values()] == [0, -1, 0, 1]


def test_drawing_without_matplotlib_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    history = History({"loss": [1.0, 0.5]}, [0, 1])
    for draw in (history.plot, compile(RESIDUAL).plot):
        with pytest.raises(UsageError) as error:
            draw()
        assert error.value.diagnostic.code == "missing-package"
        assert re.search("matplotlib|plots", str(error.value.diagnostic.help))
    with pytest.raises(ValueError, match="no metric 'x'"):
        history.plot(["x"])
    with pytest.raises(ValueError, match="there are no metrics"):
        History().plot()
    (row, *_) = compile(RESIDUAL).rows()
    with pytest.raises(UsageError, match="more than the"):
        plot_network([replace(row, name=f"layer_{index}") for index in range(MAX_DRAWN_LAYERS + 1)], {})


def test_metrics_and_networks_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    plt = pytest.importorskip("matplotlib.pyplot")
    metrics = {"loss": [2.0, 1.0], "mae": [0.5, None], "val_loss": [3.0, 2.5], "f1": [[1.0], [0.5]]}
    axes = History(metrics, [0, 1]).plot()
    assert [[line.get_label() for line in axis.get_lines()] for axis in axes] == [["loss", "val_loss"], ["mae"]]
    assert axes[0].get_lines()[0].get_ydata().tolist() == [2.0, 1.0]
    (axis,) = History(metrics, [0, 1]).plot(["val_loss"])
    assert axis.get_lines()[0].get_ydata().tolist() == [3.0, 2.5]
    assert len(a_run(tmp_path / "run").plot()) == 1
    diagram = compile(RESIDUAL).plot()
    assert [text.get_text().split()[0] for text in diagram.texts if text.get_text()] == ["x", "a", "b", "sum", "y"]
    diagram.figure.savefig(tmp_path / "network.png")
    assert (tmp_path / "network.png").stat().st_size > 1000
    plt.close("all")


@pytest.mark.parametrize(("suffix", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_draw_writes_the_same_image_each_time(tmp_path: Path, suffix: str, start: bytes) -> None:
    pytest.importorskip("matplotlib")
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(RESIDUAL))
    contents = []
    for name in ("a", "b"):
        command("draw", str(spec), "-o", str(tmp_path / f"{name}.{suffix}"))
        contents.append((tmp_path / f"{name}.{suffix}").read_bytes())
    assert contents[0] == contents[1]
    assert contents[0].startswith(start)
    if suffix == "svg":
        text = contents[0].decode()
        assert all(f">{layer['name']} (" in text for layer in RESIDUAL["layers"] if "name" in layer)


BLOCKS: dict[str, Any] = {
    "blocks": {
        "pair": {
            "layers": [{"type": "Dense", "name": "a", "units": 4}, {"type": "Dense", "name": "b", "units": 4}],
            "outputs": ["b", "a"],
        }
    },
    "inputs": {"x": {"shape": [4]}},
    "layers": [
        {"type": "pair", "name": "p"},
        {"type": "pair", "name": "q"},
        {"type": "Add", "name": "y", "from": ["p.a", "q"]},
    ],
}


def test_blocks_are_drawn_as_single_nodes(tmp_path: Path) -> None:
    model = compile(BLOCKS)
    assert diagram_nodes(model.rows(), model.inputs, 0) == [
        DiagramNode("x", "x\nfloat32[batch, 4]", (), "input"),
        DiagramNode("p", "p (pair, 2 layers)\nfloat32[batch, 4], float32[batch, 4]", ("x",), "block"),
        DiagramNode("q", "q (pair, 2 layers)\nfloat32[batch, 4]", ("p",), "block"),
        DiagramNode("y", "y (Add)\nfloat32[batch, 4]", ("p", "q"), "layer"),
    ]
    assert {node.kind for node in diagram_nodes(model.rows(), model.inputs, 1)} == {"input", "layer"}
    pytest.importorskip("matplotlib")
    (tmp_path / "spec.json").write_text(json.dumps(BLOCKS))
    command("draw", str(tmp_path / "spec.json"), "-o", str(tmp_path / "network.svg"), "--depth", "0")
    drawn = (tmp_path / "network.svg").read_text()
    assert "p (pair, 2 layers)" in drawn
    assert "p_a" not in drawn


def test_arrows_pass_the_nodes_of_their_column() -> None:
    pytest.importorskip("matplotlib")
    model = compile(RESIDUAL)
    nodes = diagram_nodes(model.rows(), model.inputs)
    boxes = plot_network_module._boxes(nodes)
    (((start, end), lane),) = plot_network_module._lanes(nodes, boxes).items()
    assert (start, end) == ("a", "sum")
    assert lane < min(box.left for box in boxes.values())


def test_colors_of_a_diagram_can_be_read_on_any_background() -> None:
    for background in ("#ffffff", "#14181e", "#0d1117", "#000000"):
        assert contrast(plot_network_module.LINE_COLOR, background) >= 3
    for color in plot_network_module.BOX_COLORS.values():
        assert contrast(plot_network_module.TEXT_COLOR, color) >= 7


def test_draw_refuses_other_files(tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(RESIDUAL))
    assert ".svg, .png, .pdf" in command("draw", str(spec), "-o", str(spec), status=2).stderr
    assert json.loads(spec.read_text()) == RESIDUAL
