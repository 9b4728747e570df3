#!/bin/sh
# Trains the samples of samples/pretrained/ with the weights of packages, which are downloaded, unpacked and not installed.
set -eu
cd "$(dirname "$0")/../../.."
rm -rf build/pretrained
.venv/bin/python samples/pretrained/prepare.py build/pretrained
exec .venv/bin/python -m pytest -q -p no:cacheprovider tests/environments/pretrained/check_samples.py "$@"
