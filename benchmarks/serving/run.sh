#!/bin/sh
# Measures jsonnx serve beside other servers of the same models, in turns. Needs wrk, and the environment of `make`.
#   sh benchmarks/serving/run.sh [OPTION...]       --help lists the options
# BENCHMARKS_ENV is the path of an existing environment for the other servers.
set -eu
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python3}
ENV=${BENCHMARKS_ENV:-.venv-bench-serving}

if [ -z "${BENCHMARKS_ENV:-}" ] && { [ ! -e "$ENV/.installed" ] || [ benchmarks/serving/requirements.txt -nt "$ENV/.installed" ]; }; then
    "$PYTHON" -m venv "$ENV"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check -r benchmarks/serving/requirements.txt
    touch "$ENV/.installed"
fi
PYTHONPATH="$PWD/compiler:$PWD" exec .venv/bin/python -m benchmarks.serving --peers "$ENV" "$@"
