import jsonnx
from jsonnx import ray

# -- RayTrainer: needs the extra ray
# "training": {"distributed": {"shards": 8}} in the spec says into how many shards
result = ray.RayTrainer("spec.json").fit()
# -- RayResult: needs the extra ray
print(result.path, result.metrics)
# -- RayTrialHost: needs the extra ray
jsonnx.sweep("spec.json", "sweeps/rate", jobs=8, host=ray.RayTrialHost())
# -- predict: needs the extra ray
ray.predict("runs/scores", "rows/", "scores.parquet", workers=8)
# -- app: needs the extra ray
app = ray.app("runs/penguins")  # serve run MODULE:app
