#!/bin/sh
# Compares with Keras on JAX, side by side in one process, in an environment of its own.
#   sh tests/parity/run.sh            everything
#   sh tests/parity/run.sh record     renew the fixtures that the ordinary suite uses
set -eu
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python3}
ENV=.venv-parity

if [ ! -e "$ENV/.installed" ] || [ tests/parity/requirements.txt -nt "$ENV/.installed" ] || [ pyproject.toml -nt "$ENV/.installed" ]; then
    "$PYTHON" -m venv "$ENV"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[cpu]" -r tests/parity/requirements.txt
    touch "$ENV/.installed"
fi
export KERAS_BACKEND=jax JAX_PLATFORMS=cpu
if [ "${1:-}" = record ]; then
    exec "$ENV/bin/python" tests/parity/record_samples.py
fi
exec "$ENV/bin/python" -m pytest -p no:cacheprovider tests/parity/check_samples.py tests/parity/check_layers.py tests/parity/check_accuracy.py "$@"
