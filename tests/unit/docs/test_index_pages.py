"""The pages that find others: every name and every page that they list exists."""

from __future__ import annotations

import os.path
import re
from pathlib import Path

import pytest
from generate.components.component_pages import component_pages
from generate.components.pytorch_differences import DIFFERENCES
from generate.components.pytorch_names import NAMES, counterparts
from generate.components.records import records
from generate.components.tasks import TASKS, Task
from generate.index_pages import PARTS, index_pages
from jsonnx.core.system.documentation import FOLDERS

DOCS = Path(__file__).parents[3] / "docs"
SAMPLES = DOCS.parent / "samples"

PAGES = index_pages()
COMPONENT_PAGES = component_pages()


def test_every_link_to_a_component_leads_to_a_page() -> None:
    for path, text in PAGES.items():
        for target in re.findall(r"\]\(([^)#]+)", text):
            page = os.path.normpath(os.path.join(os.path.dirname(path), target))
            folder = page.split("/")[1]
            if page.startswith("reference/") and folder not in ("errors", "rules", "commands", "python"):
                assert page in COMPONENT_PAGES or page in PAGES, (path, target)


def test_the_reference_lists_every_kind() -> None:
    assert PARTS.keys() == FOLDERS.keys()
    for folder in FOLDERS.values():
        assert f"\n{folder}/index.md\n" in PAGES["reference/index.md"]


@pytest.mark.parametrize("task", TASKS, ids=[task.title for task in TASKS])
def test_the_samples_and_pages_of_a_task_exist(task: Task) -> None:
    assert [name for name in task.samples.split() if not (SAMPLES / f"{name}.json").exists()] == []
    pages = [*task.pages.split(), *(f"gallery/{name}" for name in task.samples.split())]
    assert [page for page in pages if not (DOCS / f"{page}.md").exists()] == []


def test_every_sample_serves_a_task() -> None:
    named = {name for task in TASKS for name in task.samples.split()}
    assert {file.stem for file in SAMPLES.glob("*.json")} == named


def test_names_of_pytorch_have_a_counterpart() -> None:
    assert len(counterparts()) == sum(len(names.split()) for names in NAMES.values())
    text, record = counterparts()["torch.nn.Linear"]
    assert (text, record.name) == ('{"type": "Dense", "units": ...}', "Dense")
    assert counterparts()["torch.nn.GELU"].record.kind == "activation"
    assert counterparts()["torch.sum"].text == '"ops.sum"'
    assert counterparts()["torch.cat"].record.name == "ops.concatenate"
    assert counterparts()["torch.transpose"].text == '"ops.swapaxes"'
    assert counterparts()["torch.nn.MaxPool2d"].text == '"MaxPooling2D"'
    assert counterparts()["torch.nn.RNN"].record.name == "SimpleRNN"
    assert DIFFERENCES.keys() <= counterparts().keys()
    assert counterparts()["torch.optim.lr_scheduler.OneCycleLR"].record.name == "OneCycle"


def test_names_of_keras_are_all_of_ours_and_what_keras_alone_has() -> None:
    text = PAGES["reference/keras-names.md"]
    for record in records():
        if record.component and record.component.keras_name:
            assert f"| `{record.component.keras_name}` | [{record.name}](" in text
        elif record.component:
            assert f"| [{record.name}](" in text.split("## Not in Keras")[1]
    assert "| `Lambda` | it runs Python code" in text.split("## Only in Keras")[1]
