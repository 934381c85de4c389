#!/usr/bin/env bash
# Makes .build/quality: tools that look at the code from outside, and need not stand beside what it imports.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
cd "$root"

check_python
tools=.build/quality
if ! "$tools/bin/python" -c '' 2>/dev/null || [ "$(cat "$tools/tocsin-path" 2>/dev/null)" != "$PWD" ]; then
  need_disk "$root" 300 "The tools of the quality gates"
  logged quality "$python" -m venv --clear --without-pip "$tools"
  printf '%s' "$PWD" >"$tools/tocsin-path"
fi
step "Tools ($(grep -c == requirements-quality.lock), from requirements-quality.lock)"
logged quality install_packages "$tools/bin/python" --require-hashes -r requirements-quality.lock
