#!/bin/sh
# Trains adapters with PyTorch and PEFT, in an environment of its own: renews the fixtures of tests/unit/pipeline/test_peft_adapter.py
# (`record`), or loads adapters that jsonnx has written (`check`).
set -eu
cd "$(dirname "$0")/../../.."
PYTHON=${PYTHON:-python3}
ENV=${ENV:-.venv-peft}
if [ ! -e "$ENV" ]; then
    "$PYTHON" -m venv "$ENV"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check \
        torch peft onnx onnxscript --editable ".[cpu]"
fi
PYTHONPATH=compiler:tests/environments/peft exec "$ENV/bin/python" "tests/environments/peft/${1:-check}_adapters.py"
