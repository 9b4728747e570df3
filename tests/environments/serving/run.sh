#!/bin/sh
# Talks to `jsonnx serve` with clients of other projects, in an environment of its own. `-m "slow or not slow"` has all.
set -eu
cd "$(dirname "$0")/../../.."
PYTHON=${PYTHON:-python3}
ENV=.venv-serving

if [ ! -e "$ENV/.installed" ] || [ pyproject.toml -nt "$ENV/.installed" ] || [ "$0" -nt "$ENV/.installed" ]; then
    "$PYTHON" -m venv "$ENV"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[cpu,images,serve,grpc]" \
        "pytest>=8" "tritonclient[all]>=2.60" "kserve>=0.15" "schemathesis>=4" \
        "opentelemetry-sdk>=1.27" "opentelemetry-exporter-otlp-proto-http>=1.27"
    # Without scripts: they load libraries for GPUs.
    ! command -v npm >/dev/null || npm install --silent --ignore-scripts --prefix "$ENV/node" onnxruntime-node
    touch "$ENV/.installed"
fi
JSONNX_SERVING_TESTS=1 "$ENV/bin/python" -m pytest tests/environments/serving "$@"
