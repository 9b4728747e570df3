#!/bin/sh
# Compares jsonnx with Keras on JAX in one process, in a separate virtual environment.
#   sh tests/environments/parity/run.sh            everything, with every fourth case of `files`
#   sh tests/environments/parity/run.sh sample     a part of everything, for CI
#   sh tests/environments/parity/run.sh layers     small networks of every layer, loss and optimizer; further arguments go to
#                                     pytest, as in: run.sh layers -k norm
#   sh tests/environments/parity/run.sh samples    the samples: their first 50 losses, their gradients by onnx-ad
#   sh tests/environments/parity/run.sh accuracy   the test accuracy of the samples
#   sh tests/environments/parity/run.sh sklearn    figures of runs and of baselines, by scikit-learn
#   sh tests/environments/parity/run.sh applications [NAME...]   keras.applications, from files of Keras to ONNX: prints a table
#   sh tests/environments/parity/run.sh files      import of files of Keras, and export to Keras
#   sh tests/environments/parity/run.sh record     renew the fixtures that the ordinary suite uses
#   sh tests/environments/parity/run.sh keras_hub  renew the fixtures of KerasHub's layers and models and of the library, in an environment of its own
set -eu
cd "$(dirname "$0")/../../.."
PYTHON=${PYTHON:-python3}
export KERAS_BACKEND=jax JAX_PLATFORMS=cpu PYTHONPATH=compiler:tests:tests/environments/parity
what=${1:-all}
[ $# -eq 0 ] || shift

if [ "$what" = keras_hub ]; then
    ENV=.venv-keras-hub
    [ -e "$ENV" ] || "$PYTHON" -m venv "$ENV"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[cpu]" -r tests/environments/parity/keras_hub_requirements.txt
    "$ENV/bin/python" tests/environments/parity/record_keras_hub.py
    "$ENV/bin/python" tests/environments/parity/record_keras_hub_models.py
    exec "$ENV/bin/python" tests/environments/parity/record_library.py
fi

ENV=.venv-parity

if [ ! -e "$ENV/.installed" ] || [ tests/environments/parity/requirements.txt -nt "$ENV/.installed" ] || [ pyproject.toml -nt "$ENV/.installed" ]; then
    "$PYTHON" -m venv "$ENV"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[cpu]" -r tests/environments/parity/requirements.txt
    touch "$ENV/.installed"
fi

case $what in
record)
    "$ENV/bin/python" tests/environments/parity/record_samples.py
    exec "$ENV/bin/python" tests/environments/parity/record_networks.py
    ;;
applications) exec "$ENV/bin/python" tests/environments/parity/applications.py "$@" ;;
layers) files="layers masks augmentation initial" ;;
samples) files="samples applications onnx_ad" ;;
accuracy) files="accuracy" ;;
sklearn) files="sklearn baselines" ;;
files) files="import export" ;;
all | sample)
    files="accuracy samples applications onnx_ad layers masks augmentation initial sklearn baselines export import" # both processes end together
    if [ "$what" = all ]; then set -- --every 4 "$@"; else set -- --every 24 --every-layer 8 "$@"; fi
    ;;
*)
    echo "$0: no part is called '$what': there are all, sample, layers, samples, accuracy, sklearn, files, applications, record, keras_hub" >&2
    exit 2
    ;;
esac
for file in $files; do
    set -- "$@" "tests/environments/parity/check_$file.py"
done
exec "$ENV/bin/python" -m pytest -q -p no:cacheprovider -n 2 --dist worksteal "$@"
