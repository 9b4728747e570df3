#!/bin/sh
# Everything to be done on a machine with a GPU, in about ten minutes: trains all samples, compares the provider with the
# CPU, times five workloads beside PyTorch, and writes one JSON file.
#   sh benchmarks/gpu.sh download FOLDER            on a machine with a network: fetches the wheels
#   sh benchmarks/gpu.sh --wheels FOLDER -o gpu.json    on the machine with the GPU: installs them offline, and runs
#   sh benchmarks/gpu.sh --help                     the options
# GPU_ENV is the path of an existing environment to use instead.
set -eu
start=$PWD
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
ENV=${GPU_ENV:-.venv-gpu}

if [ "${1:-}" = download ]; then
    folder=${2:?the folder for the wheels is missing}
    case $folder in /*) ;; *) folder=$start/$folder ;; esac
    exec "$PYTHON" -m pip download --disable-pip-version-check --only-binary :all: --dest "$folder" \
        -r benchmarks/requirements-gpu.txt
fi

wheels=
previous=
for argument in "$@"; do
    case $previous in --wheels) wheels=$argument ;; esac
    case $argument in --wheels=*) wheels=${argument#--wheels=} ;; esac
    previous=$argument
done
case $wheels in ''|/*) ;; *) wheels=$start/$wheels ;; esac

if [ -z "${GPU_ENV:-}" ] && [ ! -e "$ENV/.installed" ]; then
    "$PYTHON" -m venv "$ENV"
    if [ -n "$wheels" ]; then
        "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --find-links "$wheels" \
            -r benchmarks/requirements-gpu.txt
    else
        "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements-gpu.txt
    fi
    touch "$ENV/.installed"
fi
PYTHONPATH="$PWD/compiler:$PWD:$PWD/tests" exec "$ENV/bin/python" -m benchmarks.gpu --start-folder "$start" "$@"
