"""Which updates of weights consist of element-wise operators only."""

from __future__ import annotations

from typing import Any

import pytest
from jsonnx.tuning.cpu.memory.elementwise_updates import ElementwiseUpdate, elementwise_updates
from support.training_steps import training_graph

KERNEL = "wide/kernel"


def updates(optimizer: Any, **layer: Any) -> dict[str, ElementwiseUpdate]:
    """The element-wise updates of kernels, by weight."""
    spec = {
        "inputs": {"x": {"shape": [6]}},
        "layers": [{"type": "Dense", "units": 5, "name": "wide", **layer}, {"type": "Dense", "units": 2}],
        "training": {"loss": "mse", "optimizer": optimizer},
    }
    found = elementwise_updates(training_graph(spec), lambda weight: weight.rank == 2)
    return {update.weight.name: update for update in found}


def test_an_update_has_its_slots_its_gradient_and_all_of_its_nodes() -> None:
    update = updates("adam")[KERNEL]
    assert [*update.slots] == ["momentum", "velocity"]
    assert [gradient.shape for gradient in update.gradients] == [(6, 5)]
    assert all(node.scope == f"optimizer/{KERNEL}" for node in update.nodes)


def test_equal_updates_have_equal_signatures() -> None:
    both = updates("adam", units=6)
    assert both[KERNEL].signature == both["dense/kernel"].signature
    assert both[KERNEL].signature != updates({"type": "adam", "epsilon": 1e-3})[KERNEL].signature


@pytest.mark.parametrize(
    ("optimizer", "layer"),
    [("adam", {"kernel_constraint": "max_norm"}), ("Lamb", {})],
    ids=["constraint", "norm"],
)
def test_an_update_that_mixes_elements_is_left_out(optimizer: Any, layer: Any) -> None:
    assert KERNEL not in updates(optimizer, **layer)
