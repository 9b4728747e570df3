"""Networks of PyTorch by name, with small inputs: twelve of torchvision, six of transformers, with small
configurations."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torchvision
import transformers

CLASSES = 10
TOKENS, VOCABULARY = 12, 64
SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
IDS = {"vocab_size": VOCABULARY, "max_position_embeddings": 32, "pad_token_id": 0}
NOISE_DEVIATION = 0.01
BATCH_OF_AVERAGES = 4
USUAL_MOMENTUM, MOMENTUM_OF_AVERAGES = 0.1, 0.5


class Network(NamedTuple):
    """A module in inference mode, and the shape of one sample: of an image, or of token ids."""

    module: torch.nn.Module
    shape: tuple[int, ...]
    is_text: bool = False

    def inputs(self, samples: int, seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        if self.is_text:
            return torch.randint(3, VOCABULARY, (samples, *self.shape), generator=generator)
        return torch.randn((samples, *self.shape), generator=generator)


class FirstResult(torch.nn.Module):
    """A model of transformers whose result is one tensor."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x)[0]


def _vision(name: str, size: int = 64, **options: int) -> Callable[[], Network]:
    return lambda: Network(getattr(torchvision.models, name)(num_classes=CLASSES, **options), (3, size, size))


def _text(model: str, config: str, **options: object) -> Callable[[], Network]:
    def make() -> Network:
        settings = getattr(transformers, config)(use_cache=False, **options)
        settings._attn_implementation = "eager"
        return Network(FirstResult(getattr(transformers, model)(settings)), (TOKENS,), is_text=True)

    return make


def _vit() -> Network:
    config = transformers.ViTConfig(image_size=32, patch_size=8, num_labels=CLASSES, **SMALL)
    return Network(FirstResult(transformers.ViTForImageClassification(config)), (3, 32, 32))


NETWORKS: dict[str, Callable[[], Network]] = {
    **{
        name: _vision(name)
        for name in ("resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "densenet121")
    },
    **{name: _vision(name) for name in ("squeezenet1_1", "shufflenet_v2_x0_5", "regnet_y_400mf")},
    "vgg11_bn": _vision("vgg11_bn", 224),
    "convnext_tiny": _vision("convnext_tiny"),
    "vit_b_16": _vision("vit_b_16", image_size=64),
    "BERT": _text("BertModel", "BertConfig", **SMALL, **IDS),
    "DistilBERT": _text(
        "DistilBertModel", "DistilBertConfig", dim=32, hidden_dim=64, n_layers=2, n_heads=4, **IDS
    ),
    "ModernBERT": _text(
        "ModernBertModel", "ModernBertConfig", **SMALL, **IDS, local_attention=8, global_attn_every_n_layers=2,
        cls_token_id=1, sep_token_id=2, bos_token_id=1, eos_token_id=2,
    ),
    "ViT": _vit,
    "Llama": _text("LlamaForCausalLM", "LlamaConfig", **SMALL, **IDS, num_key_value_heads=2),
    "GPT-2": _text(
        "GPT2LMHeadModel", "GPT2Config", n_embd=32, n_layer=2, n_head=4, vocab_size=VOCABULARY, n_positions=32
    ),
}  # fmt: skip


def network(name: str) -> Network:
    """The network with drawn weights, no two of which are equal, also those that start as zeros or ones, and with the
    moving averages of a batch."""
    torch.manual_seed(0)
    made = NETWORKS[name]()
    normalizations = [m for m in made.module.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    with torch.no_grad():
        for value in made.module.parameters():
            value += NOISE_DEVIATION * torch.randn_like(value)
        for normalization in normalizations:
            normalization.momentum = MOMENTUM_OF_AVERAGES
        made.module.train()(made.inputs(BATCH_OF_AVERAGES, 0))
        for normalization in normalizations:
            normalization.momentum = USUAL_MOMENTUM
    return made._replace(module=made.module.eval())
