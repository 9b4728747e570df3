"""Writes the networks of PyTorch as ONNX files, by both exporters: `export_networks.py FOLDER [NAME...]`."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import torch
from networks import NETWORKS, Network, network

EXPORTERS = ("torchscript", "dynamo")


def export(net: Network, exporter: str, file: Path) -> None:
    """Writes a file for one sample with TorchScript, and for any number of samples with dynamo."""
    if exporter == "torchscript":
        options = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False, "opset_version": 17}
        torch.onnx.export(net.module, (net.inputs(1, 0),), str(file), dynamo=False, input_names=["x"], **options)
        return
    batch = ({0: torch.export.Dim("batch")},)
    x = net.inputs(2, 0)
    options = {"dynamic_shapes": batch, "verbose": False}
    options["optimize"] = False  # the optimizer folds batch normalizations and copies tied weights
    program = torch.onnx.export(net.module, (x,), dynamo=True, **options)
    program.save(str(file), external_data=False)


def main(folder: Path, names: list[str]) -> None:
    warnings.filterwarnings("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or NETWORKS:
        net = network(name)
        for exporter in EXPORTERS:
            file = folder / f"{name}.{exporter}.onnx"
            if file.exists():
                continue
            try:
                export(net, exporter, file)
                print(f"{file.name}: {file.stat().st_size:,} bytes", flush=True)
            except Exception as error:  # exporters raise many classes; a file that is absent is a row of the table
                print(f"{file.name}: not exported: {type(error).__name__}: {str(error)[:200]!r}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
