import json
from pathlib import Path

import jsonnx
import numpy as np
from safetensors.numpy import save_file

# A folder that another program wrote:
sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
config = {"model_type": "vit", **sizes, "image_size": 4, "patch_size": 2}
layer = "encoder.layer.0."
linear = {f"{layer}attention.attention.{name}": (8, 8) for name in ("query", "key", "value")}
linear |= {f"{layer}attention.output.dense": (8, 8), f"{layer}intermediate.dense": (16, 8)}
linear |= {f"{layer}output.dense": (8, 16), "embeddings.patch_embeddings.projection": (8, 3, 2, 2)}
shapes = {f"{name}.weight": shape for name, shape in linear.items()}
shapes |= {f"{name}.bias": shape[:1] for name, shape in linear.items()}
for name in (f"{layer}layernorm_before", f"{layer}layernorm_after", "layernorm"):
    shapes |= {f"{name}.weight": (8,), f"{name}.bias": (8,)}
shapes |= {"embeddings.cls_token": (1, 1, 8), "embeddings.position_embeddings": (1, 5, 8)}
Path("vit").mkdir()
Path("vit/config.json").write_text(json.dumps(config))
save_file({name: np.ones(shape, "float32") for name, shape in shapes.items()}, "vit/model.safetensors")

spec, weights = jsonnx.from_hugging_face("vit", head={"kind": 3})
print([layer["type"] for layer in spec["layers"]])
trainer = jsonnx.Trainer(spec, weights=weights, partial=True)
trainer.fit(np.random.rand(32, 4, 4, 3), np.random.randint(0, 3, 32), verbose=0)
