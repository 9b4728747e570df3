#!/bin/sh
# Trains and predicts on the OpenVINO provider, which runs on any x86 CPU, in an environment of its own.
set -eu
cd "$(dirname "$0")/../../.."
PYTHON=${PYTHON:-python3}
ENV=.venv-openvino

if [ ! -e "$ENV/.installed" ] || [ pyproject.toml -nt "$ENV/.installed" ]; then
    "$PYTHON" -m venv "$ENV"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[openvino]" "pytest>=8" "pytest-xdist>=3.5"
    touch "$ENV/.installed"
fi
"$ENV/bin/python" -m pytest -n 2 tests/environments/openvino/check_openvino.py "$@"
