#!/bin/sh
# Measures jsonnx and its peers in turns, in a separate virtual environment.
#   sh benchmarks/run.sh [PART...] [OPTION...]     all parts, or the named ones
#   sh benchmarks/run.sh --help                    the parts and the options
#   sh benchmarks/run.sh large [OPTION...]         large networks beside PyTorch; `large --help` lists them
# BENCHMARKS_ENV is the path of an existing environment to use instead.
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
MODULE=benchmarks
if [ "${1:-}" = large ]; then
    MODULE=benchmarks.large
    shift
fi
PYTHONPATH="$PWD/compiler:$PWD" exec "$ENV/bin/python" -m "$MODULE" "$@"
