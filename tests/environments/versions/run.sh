#!/bin/sh
# Runs tests with exactly the lowest versions of all dependencies on Python 3.11, and with the newest ones on Python 3.13,
# each in an environment of its own: `sh tests/environments/versions/run.sh [lowest|newest] [pytest's arguments]`.
set -eu
cd "$(dirname "$0")/../../.."
UV=${UV:-.venv/bin/uv}

run() {  # NAME PYTHON RESOLUTION
    name=$1 python=$2 resolution=$3
    shift 3
    environment=.venv-$name
    if [ ! -e "$environment/.installed" ] || [ pyproject.toml -nt "$environment/.installed" ]; then
        rm -rf "$environment"
        "$UV" venv --quiet --python "$python" "$environment"
        "$UV" pip install --quiet --python "$environment" --resolution "$resolution" --editable ".[cpu,data,images,serve,grpc,text]" \
            "pytest>=8" "pytest-xdist>=3.5" "safetensors>=0.4"
        touch "$environment/.installed"
    fi
    "$environment/bin/python" - <<'END'
import platform
from importlib.metadata import version

names = ("click", "h5py", "jsonschema", "numpy", "onnx", "onnxruntime", "rich")
print("Python", platform.python_version(), *(f"{name} {version(name)}" for name in names), sep=", ")
END
    "$environment/bin/python" -m pytest -n 2 --dist worksteal "$@"
}

case ${1:-all} in
lowest) shift; run lowest 3.11 lowest-direct "$@" ;;
newest) shift; run newest 3.13 highest "$@" ;;
all)
    # Lowest: what depends on the versions of other packages. Newest: what depends on Python, since `make test` computes
    # with the newest packages.
    run lowest 3.11 lowest-direct tests/unit/analysis tests/unit/backend tests/unit/core tests/unit/data tests/integration/diagnostics tests/unit/interop \
        tests/unit/ir tests/unit/lowering tests/unit/passes tests/unit/pipeline tests/unit/render tests/unit/runtime tests/unit/server \
        tests/unit/training
    run newest 3.13 highest tests/unit/backend tests/unit/cli tests/unit/core tests/unit/data tests/unit/frontend tests/unit/interop tests/unit/pipeline \
        tests/unit/render
    ;;
esac
