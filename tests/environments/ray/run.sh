#!/bin/sh
# Trains, searches and scores on Ray clusters of this machine, in an environment of its own.
set -eu
cd "$(dirname "$0")/../../.."
PYTHON=${PYTHON:-python3}
ENV=.venv-ray

if [ ! -e "$ENV/.installed" ] || [ pyproject.toml -nt "$ENV/.installed" ]; then
    "$PYTHON" -m venv "$ENV"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[cpu,ray]" --group dev
    touch "$ENV/.installed"
fi
JSONNX_RAY_TESTS=1 "$ENV/bin/python" -m pytest tests/environments/ray "$@"
