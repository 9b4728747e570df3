#!/bin/sh
# Compares networks of PyTorch with their ONNX files as layers: gradients, ten steps of Adam, several numbers of samples.
#   sh tests/environments/foreign/run.sh [NAME...]   all networks, or these; prints a table
set -eu
cd "$(dirname "$0")/../../.."
PYTHON=${PYTHON:-python3}
ENV=.venv-foreign
FILES=${FILES:-build/foreign}
export PYTHONPATH=compiler:tests/environments/foreign

if [ ! -e "$ENV/.installed" ] || [ tests/environments/foreign/requirements.txt -nt "$ENV/.installed" ] || [ pyproject.toml -nt "$ENV/.installed" ]; then
    "$PYTHON" -m venv "$ENV"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[cpu]" \
        -r tests/environments/foreign/requirements.txt
    touch "$ENV/.installed"
fi
"$ENV/bin/python" tests/environments/foreign/export_networks.py "$FILES" "$@"
exec "$ENV/bin/python" tests/environments/foreign/check_networks.py "$FILES" "$@"
