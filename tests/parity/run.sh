#!/bin/sh
# Compares with Keras on JAX, side by side in one process, in an environment of its own.
#   sh tests/parity/run.sh            the samples: their first 50 losses, what they reach, their gradients by onnx-ad
#   sh tests/parity/run.sh layers     a table of small networks: every layer, loss and optimizer (some five minutes)
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
export KERAS_BACKEND=jax JAX_PLATFORMS=cpu PYTHONPATH=compiler:tests:tests/parity
if [ "${1:-}" = record ]; then
    "$ENV/bin/python" tests/parity/record_samples.py
    exec "$ENV/bin/python" tests/parity/record_networks.py
fi
if [ "${1:-}" = layers ]; then
    exec "$ENV/bin/python" -m pytest -p no:cacheprovider -n 2 --dist worksteal tests/parity/check_layers.py tests/parity/check_masks.py
fi
exec "$ENV/bin/python" -m pytest -s -p no:cacheprovider \
    tests/parity/check_samples.py tests/parity/check_onnx_ad.py tests/parity/check_accuracy.py
