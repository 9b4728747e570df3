#!/bin/sh
# Builds the site of the documentation, opens it in Chromium, runs all code of its pages and the walk-throughs for
# contributors. Where the machine has no Chromium, Debian's is installed (needs root).
set -eu
cd "$(dirname "$0")/../../.."

if ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null; then
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null
    else
        echo "no Chromium: apt-get install chromium" >&2
        exit 2
    fi
fi

rm -rf build/docs
started=$(date +%s)
make docs
echo "built in $(($(date +%s) - started)) s, $(du -sm build/docs | cut -f1) MB"
.venv/bin/python -m pytest -p no:cacheprovider tests/environments/docs/check_site.py "$@"
.venv/bin/python -m pytest -n 2 --dist worksteal -m "slow or not slow" \
    tests/integration/test_guides.py tests/integration/test_contributing.py "$@"
