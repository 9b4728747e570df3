"""Trains adapters with jsonnx, writes them in PEFT's layout, and compares the outputs that PEFT computes with them."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import torch
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.compile.peft_adapter import write_peft_folder
from peft import PeftModel
from torch_network import FIXTURES, network

PATTERNS: dict[str, dict[str, Any]] = {
    "lora": {},
    "dora": {"use_dora": True},
    "rslora": {"use_rslora": True, "rank_pattern": {"net/q.weight": 2}, "alpha_pattern": {"net/conv.*": 5}},
}


def main() -> None:
    results = np.load(FIXTURES / "results.npz")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shutil.copy(FIXTURES / "net.onnx", folder)
        for name, settings in PATTERNS.items():
            weights = [f"net/{module}.weight" for module in ("emb", "conv", "q", "k")]
            spec = {
                "inputs": {"x": {"shape": [5], "dtype": "int64"}},
                "layers": [{"type": "OnnxModel", "name": "net", "file": "net.onnx"}],
                "training": {
                    "loss": "mse",
                    "optimizer": {"type": "sgd", "learning_rate": 0.5},
                    "batch_size": 4,
                    "epochs": 8,
                    "freeze": ["net", "!net/head*"],
                    "lora": {"weights": weights, "rank": 3, "alpha": 6, **settings},
                },
            }
            (folder / "spec.json").write_text(json.dumps(spec))
            trainer = jsonnx.Trainer(str(folder / "spec.json"))
            trainer.fit(results["x"], results["target"])
            checked = check_spec(str(folder / "spec.json"))
            write_peft_folder(checked, trainer.current_weights(), folder / name)
            model = PeftModel.from_pretrained(network(), str(folder / name)).eval()
            with torch.no_grad():
                outputs = model(torch.tensor(results["x"])).numpy()
            difference = np.abs(outputs - trainer.predict(results["x"])).max()
            print(f"{name}: largest difference {difference:.1e}")
            assert difference < 1e-5, name


if __name__ == "__main__":
    main()
