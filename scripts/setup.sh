#!/usr/bin/env bash
# setup.sh mesh: makes .venv with what the mesh and the demo need. setup.sh dev: with the tools of the workbench, too.
# From package registries only, all of it pinned by hash.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
cd "$root"
: >.build/logs/packages.log

# `size`: MiB of disk, of which a new mesh wants 768 for its data (services/cli/runtime/disk.py).
case ${1:-} in
  mesh) lock=requirements.lock size=1400 ;;
  dev) lock=requirements-dev.lock size=1900 ;;
  *) fail "usage: setup.sh mesh|dev" ;;
esac

check_python
# Commands in an environment name its place: one that was moved, or that lost its interpreter, is made anew.
if ! .venv/bin/python -c '' 2>/dev/null || [ "$(cat .venv/tocsin-path 2>/dev/null)" != "$PWD" ]; then
  need_disk "$root" "$size" "Tocsin, with its data,"
  logged packages "$python" -m venv --clear --without-pip .venv
  printf '%s' "$PWD" >.venv/tocsin-path
fi

step "Packages ($(grep -c == "$lock"), from $lock)"
began=$SECONDS
logged packages install_packages .venv/bin/python --require-hashes -r "$lock"
logged packages install_packages .venv/bin/python --no-deps --no-build-isolation --editable .
if [ "$1" = dev ]; then
  logged packages .venv/bin/python scripts/third_party.py
fi
printf '    packages: done after %d s\n' $((SECONDS - began))
