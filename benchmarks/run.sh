#!/bin/sh
# Measures jsonnx beside its peers, in turn, in an environment of its own.
#   sh benchmarks/run.sh [PART...] [OPTION...]     every part, or those that are named
#   sh benchmarks/run.sh --help                    the parts and the options
# BENCHMARKS_ENV names an environment that is there already.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
ENV=${BENCHMARKS_ENV:-.venv-bench}

if [ -z "${BENCHMARKS_ENV:-}" ] && { [ ! -e "$ENV/.installed" ] || [ benchmarks/requirements.txt -nt "$ENV/.installed" ] || [ pyproject.toml -nt "$ENV/.installed" ]; }; then
    "$PYTHON" -m venv "$ENV"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[cpu]" -r benchmarks/requirements.txt
    touch "$ENV/.installed"
fi
PYTHONPATH="$PWD/compiler:$PWD" exec "$ENV/bin/python" -m benchmarks "$@"
