"""Compares networks of PyTorch with their ONNX files in jsonnx: `check_networks.py FOLDER [NAME...]` prints a table.

Each row is a file. `gradient` is the greatest error of a weight's gradient, relative to its greatest element, beside
PyTorch in double precision; `own` is that of PyTorch in single precision. Both are the least of several draws of
samples: where the input of a ReLU is zero but for rounding, single precision may see the other sign, in jsonnx or in
PyTorch, and the gradients of all layers before it differ by parts in a hundred; an error of a gradient rule is in every
draw. `all draws` lists the pairs. `Adam` is the greatest relative difference of ten losses beside double precision,
again with PyTorch's own, for the draw where our gradients are nearest; its steps divide gradients by their size, and
rounding decides where a gradient is near zero.
`batch` is the greatest difference of the outputs for 1, 3 and 8 samples.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jsonnx
import numpy as np
import onnxruntime
import torch
from export_networks import EXPORTERS
from jsonnx.backend import to_model_proto
from jsonnx.gradient import GradientBuilder, gradients
from jsonnx.gradient.training_step import with_loss
from jsonnx.lowering.lower import lower
from jsonnx.pipeline.check.check import check_spec
from networks import NETWORKS, Network, network

SAMPLES, STEPS, RATE, DRAWS = 2, 10, 1e-5, 3
BETAS, EPSILON = (0.9, 0.999), 1e-7
TOLERANCE = 1e-4
OWN_ERRORS = 3
"""Times the error of PyTorch in single precision that an error of ten losses may be."""
NEGLIGIBLE = 1e-3
"""Elements of gradients are compared with at least this part of the greatest one of the network."""

Arrays = dict[str, np.ndarray]


class Row(NamedTuple):
    file: str
    weights: str
    gradient: float
    own: float
    draws: str
    adam: float
    own_adam: float
    batch: float
    seconds: float

    @property
    def is_fine(self) -> bool:
        return max(self.gradient, self.batch) < TOLERANCE and self.adam < max(TOLERANCE, OWN_ERRORS * self.own_adam)


def spec_of(file: Path) -> tuple[dict[str, Any], Arrays]:
    """A spec that trains the first output of a file, and the weights of the file."""
    spec, weights = jsonnx.from_onnx(file)
    (layer,) = spec["layers"]
    layer["outputs"] = {"y": jsonnx_output(layer["graph"])}
    training = {"loss": "mse", "optimizer": {"type": "adam", "learning_rate": RATE, "epsilon": EPSILON}}
    assert weights is not None
    return {**spec, "training": training}, weights


def jsonnx_output(text: str) -> str:
    from jsonnx.foreign.prepared_graph import read_graph_text

    return read_graph_text(text).output_names[0]


class OurGradients:
    """The gradients of the weights of a spec, for samples and targets."""

    def __init__(self, spec: dict[str, Any]) -> None:
        checked = check_spec(spec)
        assert checked.objective is not None
        graph = with_loss(lower(checked.require(), training=True), checked.objective._replace(metrics={}))
        graph = replace(graph, outputs={"loss": graph.outputs["loss"]}, updates={})
        g = GradientBuilder.extending(graph)
        found = gradients(g, graph, {graph.outputs["loss"]: g.const(1.0)}, list(graph.parameters.values()))
        proto = to_model_proto(g.graph({f"d/{name}": found[weight] for name, weight in graph.parameters.items()}))
        (self.target_name,) = checked.objective.targets
        self.session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])

    def __call__(self, feeds: Arrays, target: np.ndarray) -> Arrays:
        known = {value.name for value in self.session.get_inputs()}
        feeds = {**feeds, f"{self.target_name}/target": target}
        names = [value.name for value in self.session.get_outputs()]
        arrays = self.session.run(names, {name: array for name, array in feeds.items() if name in known})
        return {name.removeprefix("d/"): array for name, array in zip(names, arrays, strict=True)}


def their_gradients(module: torch.nn.Module, x: torch.Tensor, target: torch.Tensor) -> Arrays:
    module.zero_grad()
    torch.mean((first(module(x)) - target) ** 2).backward()
    return {name: value.grad.numpy().copy() for name, value in module.named_parameters() if value.grad is not None}


def first(result: Any) -> torch.Tensor:
    return result if isinstance(result, torch.Tensor) else result[0]


def their_losses(module: torch.nn.Module, x: torch.Tensor, target: torch.Tensor) -> list[float]:
    """The losses of ten steps of Adam as Keras defines it: with epsilon beside the uncorrected root."""
    parameters = [value for value in module.parameters() if value.requires_grad]
    moments = [(torch.zeros_like(value), torch.zeros_like(value)) for value in parameters]
    losses = []
    for step in range(1, STEPS + 1):
        module.zero_grad()
        loss = torch.mean((first(module(x)) - target) ** 2)
        loss.backward()
        losses.append(loss.item())
        rate = RATE * (1 - BETAS[1] ** step) ** 0.5 / (1 - BETAS[0] ** step)
        with torch.no_grad():
            for value, (mean, square) in zip(parameters, moments, strict=True):
                if value.grad is not None:
                    mean.lerp_(value.grad, 1 - BETAS[0])
                    square.lerp_(value.grad**2, 1 - BETAS[1])
                    value -= rate * mean / (square.sqrt() + EPSILON)
    return losses


def our_losses(spec: dict[str, Any], weights: Arrays, x: np.ndarray, target: np.ndarray) -> list[float]:
    trainer = jsonnx.Trainer(spec, weights=weights)
    history = trainer.fit(x, target, batch_size=SAMPLES, epochs=STEPS, shuffle=False, verbose=0)
    return list(history.history["loss"])


def matched(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The weights of a module by the names of ours, with the order of axes, found by their equal numbers."""
    by_bytes = {}
    for name, array in theirs.items():
        by_bytes[array.tobytes()] = (name, tuple(range(array.ndim)))
        if array.ndim == 2:
            by_bytes.setdefault(array.T.tobytes(), (name, (1, 0)))
    return {name: by_bytes[array.tobytes()] for name, array in ours.items() if array.tobytes() in by_bytes}


def gradient_error(ours: Arrays, theirs: Arrays, pairs: Mapping[str, tuple[str, tuple[int, ...]]]) -> float:
    greatest = max(np.abs(array).max() for array in theirs.values())
    errors = [0.0]
    for name, array in ours.items():
        if name in pairs:
            other, axes = pairs[name]
            expected = theirs[other].transpose(axes).reshape(array.shape)
            errors.append(np.abs(array - expected).max() / max(np.abs(expected).max(), NEGLIGIBLE * greatest))
    return float(max(errors))


def drawn(net: Network, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples and targets."""
    x = net.inputs(SAMPLES, seed)
    with torch.no_grad():
        y = first(net.module(x))
    return x, torch.randn(y.shape, generator=torch.Generator().manual_seed(seed + 1))


def gradient_errors(net: Network, spec: dict[str, Any], weights: Arrays) -> tuple[list[tuple[float, float]], str]:
    """The errors of our gradients and of PyTorch's for each draw, and how many elements are compared."""
    own_gradients = OurGradients(spec)
    state = {name: value.detach().numpy() for name, value in net.module.named_parameters()}
    (source,) = spec["inputs"]
    errors, compared = [], ""
    for seed in range(1, DRAWS + 1):
        x, target = drawn(net, seed)
        ours = own_gradients({source: x.numpy(), **weights}, target.numpy())
        single = their_gradients(net.module, x, target)
        double = their_gradients(net.module.double(), x if net.is_text else x.double(), target.double())
        net.module.float()
        pairs = matched({name: weights[name] for name in ours}, {name: state[name] for name in double})
        own_pairs = {name: (name, tuple(range(array.ndim))) for name, array in double.items()}
        errors.append((gradient_error(ours, double, pairs), gradient_error(single, double, own_pairs)))
        elements = sum(ours[name].size for name in pairs), sum(array.size for array in double.values())
        compared = f"{elements[0]:,} of {elements[1]:,}"
    return errors, compared


def row(net: Network, file: Path) -> Row:
    start = time.perf_counter()
    spec, weights = spec_of(file)
    seconds = time.perf_counter() - start
    errors, compared = gradient_errors(net, spec, weights)
    batch = max(output_error(spec, weights, net, count) for count in (1, 3, 8))
    best = min(range(DRAWS), key=lambda draw: errors[draw][0])
    x, target = drawn(net, best + 1)
    ours = np.array(our_losses(spec, weights, x.numpy(), target.numpy()))
    wide = deepcopy(net.module).double()
    double = np.array(their_losses(wide, x if net.is_text else x.double(), target.double()))
    single = np.array(their_losses(net.module, x, target))
    return Row(
        file.name,
        compared,
        *(min(each) for each in zip(*errors, strict=True)),
        ", ".join(f"{ours:.0e}/{own:.0e}" for ours, own in errors),
        *(float(np.abs(losses / double - 1).max()) for losses in (ours, single)),
        batch,
        seconds,
    )


def output_error(spec: dict[str, Any], weights: Arrays, net: Network, samples: int) -> float:
    """The greatest difference of an output for a number of samples, relative to the greatest output."""
    model = jsonnx.compile({k: v for k, v in spec.items() if k != "training"}, weights)
    session = onnxruntime.InferenceSession(model.to_bytes(), providers=["CPUExecutionProvider"])
    x = net.inputs(samples, samples)
    with torch.no_grad():
        expected = first(net.module(x)).numpy()
    (result,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    return float(np.abs(result - expected).max() / np.abs(expected).max())


def main(folder: Path, names: list[str]) -> int:
    print("| file | weights | gradient | own | all draws | Adam | own | batch | import s |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    is_fine = True
    for name in names or NETWORKS:
        for exporter in EXPORTERS:
            file = folder / f"{name}.{exporter}.onnx"
            if not file.exists():
                print(f"| {file.name} | not exported | | | | | | | |", flush=True)
                continue
            try:
                result = row(network(name), file)
            except Exception as error:  # a row of the table for whatever failed
                print(f"| {file.name} | {type(error).__name__}: {str(error)[:300]} | | | | | | | |", flush=True)
                is_fine = False
                continue
            is_fine &= result.is_fine
            figures = f"{result.gradient:.1e} | {result.own:.1e} | {result.draws} | {result.adam:.1e}"
            figures += f" | {result.own_adam:.1e} | {result.batch:.1e}"
            print(f"| {result.file} | {result.weights} | {figures} | {result.seconds:.1f} |", flush=True)
    print(f"\nlargest memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")
    return 0 if is_fine else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
