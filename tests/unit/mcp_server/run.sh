#!/bin/sh
# Talks to `jsonnx mcp` with the client of the MCP Python SDK, in an environment of its own: the SDK has many dependencies.
set -eu
cd "$(dirname "$0")/../../.."
PYTHON=${PYTHON:-python3}
ENV=.venv-mcp

if [ ! -e "$ENV/.installed" ] || [ pyproject.toml -nt "$ENV/.installed" ]; then
    "$PYTHON" -m venv "$ENV"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
    "$ENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[cpu,mcp]" "pytest>=8" "mypy"
    touch "$ENV/.installed"
fi
"$ENV/bin/python" -m mypy compiler/jsonnx/mcp_server
"$ENV/bin/python" -m pytest tests/unit/mcp_server/check_mcp_server.py "$@"
