"""Trains adapters with PEFT and records them with their losses and outputs."""

from __future__ import annotations

import copy

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch_network import FIXTURES, SETTINGS, TARGET_MODULES, network

STEPS = 4


def main() -> None:
    net = network()
    x, target = torch.randint(0, 20, (4, 5)), torch.randn(4, 3)
    names = {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": {"x": {0: "batch"}, "y": {0: "batch"}}}
    torch.onnx.export(net, (x,), str(FIXTURES / "net.onnx"), dynamo=False, **names)
    results = {"x": x.numpy(), "target": target.numpy()}
    for name, settings in SETTINGS.items():
        torch.manual_seed(1)
        config = LoraConfig(r=3, lora_alpha=6, target_modules=TARGET_MODULES, modules_to_save=["head"], **settings)
        model = get_peft_model(copy.deepcopy(net), config)
        model.save_pretrained(FIXTURES / name / "start")
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
        losses = []
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = ((model(x) - target) ** 2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        model.save_pretrained(FIXTURES / name / "trained")
        results |= {f"{name}_losses": np.array(losses), f"{name}_outputs": model(x).detach().numpy()}
    for readme in FIXTURES.rglob("README.md"):
        readme.unlink()
    np.savez(FIXTURES / "results.npz", **results)


if __name__ == "__main__":
    main()
