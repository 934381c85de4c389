#!/usr/bin/env bash
# Fetches the packages of an image into the folder `wheels`, so that images are built without a network. They are those for
# the Python of this machine; `--python-version 3.13` (an option of pip's) takes another, that of the base image.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/packages.sh"
cd "$root/deploy/docker"
check_python
rm -f wheels/*.whl
: >"$root/.build/logs/wheels.log"
step "Wheels"
logged wheels pip download --quiet --only-binary=:all: --no-deps --require-hashes -d wheels -r requirements.lock -r build.lock "$@"
printf '    %d wheels, %s, in deploy/docker/wheels\n' "$(find wheels -name '*.whl' | wc -l)" "$(du -sh wheels | cut -f 1)"
