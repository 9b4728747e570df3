#!/bin/sh
# Trains and predicts on the WebGPU provider in an environment of its own. Where the machine has no Vulkan driver, Debian's
# software one is installed (needs root).
set -eu
cd "$(dirname "$0")/../../.."
PYTHON=${PYTHON:-python3}
ENV=.venv-webgpu

if ! ls /usr/share/vulkan/icd.d/*.json >/dev/null 2>&1; then
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mesa-vulkan-drivers libvulkan1 >/dev/null
    else
        echo "no Vulkan driver: apt-get install mesa-vulkan-drivers libvulkan1" >&2
        exit 2
    fi
fi

if [ ! -e "$ENV/.installed" ] || [ pyproject.toml -nt "$ENV/.installed" ]; then
    "$PYTHON" -m venv "$ENV"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[webgpu]" "pytest>=8"
    touch "$ENV/.installed"
fi
"$ENV/bin/python" -m pytest tests/environments/webgpu/check_webgpu.py "$@"
