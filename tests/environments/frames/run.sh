#!/bin/sh
# Trains and predicts on frames of pandas and polars, which are no dependencies, in an environment of its own.
set -eu
cd "$(dirname "$0")/../../.."
PYTHON=${PYTHON:-python3}
ENV=.venv-frames

if [ ! -e "$ENV/.installed" ] || [ pyproject.toml -nt "$ENV/.installed" ]; then
    "$PYTHON" -m venv "$ENV"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[cpu,data]" "pandas>=2" "polars>=1" "pytest>=8"
    touch "$ENV/.installed"
fi
"$ENV/bin/python" -m pytest -p no:cacheprovider tests/environments/frames/check_frames.py "$@"
