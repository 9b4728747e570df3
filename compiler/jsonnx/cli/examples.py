"""The examples below the help of each command."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "jsonnx": ("jsonnx validate spec.json", "jsonnx train spec.json -o runs/digits", "jsonnx layers Dense"),
    "validate": ("jsonnx validate specs/*.json", "jsonnx validate --format github specs/*.json"),
    "lint": ("jsonnx lint specs/*.json", "jsonnx lint spec.json --data --ignore dropped-pixels"),
    "summary": ("jsonnx summary spec.json", "jsonnx summary spec.json --scale large --depth 1"),
    "fmt": ("jsonnx fmt specs/*.json", "jsonnx fmt --check specs/*.json"),
    "diff": (
        "jsonnx diff old.json new.json",
        "jsonnx diff runs/digits spec.json",
        "jsonnx diff specs/*.json --against git:origin/main --format markdown",
    ),
    "data": (
        "jsonnx data spec.json",
        "jsonnx data spec.json --data new.csv --format json",
        "jsonnx data spec.json --write-splits parts",
    ),
    "init": ("jsonnx init flowers.csv --target species", "jsonnx init photos -o photos.json"),
    "trace": ("jsonnx trace spec.json", "jsonnx trace spec.json --weights runs/digits --data new.csv"),
    "draw": ("jsonnx draw spec.json -o network.svg", "jsonnx draw spec.json -o network.svg --depth 0"),
    "profile": (
        "jsonnx profile spec.json --training",
        "jsonnx profile runs/digits --batch-size 64 --by op",
        "jsonnx profile model.onnx --by node --top 20 --trace trace.json",
        "jsonnx profile runs/digits --batch-sizes 1,8,32 --require 'p95@1<5ms'",
    ),
    "compile": (
        "jsonnx compile spec.json -o model.onnx --weights weights.safetensors",
        "jsonnx compile spec.json -o decoder.onnx --weights runs/vae --inputs code --outputs picture",
        "jsonnx compile spec.json -o folder --training",
        "jsonnx compile spec.json -o folder --training --for webgpu",
    ),
    "quantize": (
        "jsonnx quantize runs/digits -o digits.int8.onnx",
        "jsonnx quantize runs/digits -o digits.int8.onnx --tolerance accuracy=0.005 --target webgpu",
        "jsonnx quantize runs/digits -o phone.onnx --variant phone",
        "jsonnx quantize model.onnx -o model.int8.onnx --data images.npz --tolerance max_difference=0.05",
    ),
    "train": (
        "jsonnx train spec.json -o runs/digits --set training.epochs=20",
        "jsonnx train spec.json -o runs/digits --resume",
        "jsonnx train spec.json -o runs/digits --live --report",
        "jsonnx train spec.json -o runs/folds --fold all",
    ),
    "sweep": (
        "jsonnx sweep spec.json -o sweeps/digits --jobs 4",
        "jsonnx sweep spec.json -o sweeps/digits --jobs 4 --resume",
    ),
    "evaluate": (
        "jsonnx evaluate runs/digits",
        "jsonnx evaluate runs/digits runs/digits-2",
        "jsonnx evaluate runs/digits --split validation",
        "jsonnx evaluate runs/folds",
        "jsonnx evaluate model.onnx --data test.npz --format json",
        "jsonnx evaluate runs/digits --require 'accuracy>=0.97' --require 'loss<0.1'",
    ),
    "runs": ("jsonnx runs --where 'val_accuracy>0.9' --sort -val_accuracy", "jsonnx runs experiments --format csv"),
    "compare": ("jsonnx compare runs/digits runs/digits-2", "jsonnx compare runs/digits* --format json"),
    "lock": ("jsonnx lock runs/digits", "jsonnx train digits.json --locked"),
    "report": (
        "jsonnx report runs/digits",
        "jsonnx report runs/digits runs/digits-2 -o compared.html",
        "jsonnx report runs/digits --live",
    ),
    "predict": (
        "jsonnx predict runs/digits --data new.csv -o predictions.csv",
        "jsonnx predict runs/digits --data - --id name",
    ),
    "drift": (
        "jsonnx drift runs/digits --data new.csv",
        "jsonnx drift runs/digits --data new.csv --threshold 0.1",
    ),
    "inspect": ("jsonnx inspect model.onnx", "jsonnx inspect model.onnx --spec -"),
    "import": (
        "jsonnx import model.keras -o spec.json --weights weights.safetensors",
        "jsonnx import resnet18.onnx -o spec.json --head kind=5",
    ),
    "export": (
        "jsonnx export --keras runs/digits -o digits.keras",
        "jsonnx export --ort runs/digits -o digits.ort",
        "jsonnx export --triton runs/digits -o repository",
        "jsonnx export --kserve runs/digits -o digits.yaml --storage-uri s3://bucket/repository",
        "jsonnx export --docker runs/digits -o image",
    ),
    "lsp": ("jsonnx lsp", "jsonnx lsp --log server.log"),
    "schema": ("jsonnx schema -o model.schema.json", "jsonnx schema --structured --layers Dense,Conv2D,Flatten"),
    "layers": ("jsonnx layers Conv2D", "jsonnx layers optimizers", "jsonnx layers --search noise"),
    "mcp": ("jsonnx mcp --root networks",),
    "serve": ("jsonnx serve runs/penguins", "jsonnx serve species=runs/penguins digits=runs/digits --port 9000"),
    "client": ("jsonnx client runs/penguins -o penguins.py", "jsonnx client runs/penguins -o src/penguins.ts"),
    "conform": (
        "jsonnx conform http://127.0.0.1:8000",
        "jsonnx conform http://127.0.0.1:8080 --model digits --grpc 127.0.0.1:8081 --only infer/",
    ),
    "explain": ("jsonnx explain unknown-key", "jsonnx explain unknown-key --format json"),
    "providers": ("jsonnx providers", "jsonnx providers spec.json --provider cuda"),
    "parity": ("jsonnx parity spec.json", "jsonnx parity runs/digits --providers cpu,openvino --format json"),
    "completion": ("jsonnx completion --install", "jsonnx completion zsh --install"),
}
"""Command lines by command; `jsonnx` is the group of all."""


def epilog(command: str) -> str | None:
    """The epilog of a command's help, without rewrapping by click; None if the command has no examples."""
    if command not in EXAMPLES:
        return None
    title = "Examples:" if len(EXAMPLES[command]) > 1 else "Example:"
    return "\n".join(["\b", title, *(f"  {line}" for line in EXAMPLES[command])])
