#!/usr/bin/env bash
# Builds the gateway: gateway.sh OUTPUT.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
: >"$root/.build/logs/gateway.log"
output=$(realpath -m "$1")
"$root/scripts/go.sh" version >/dev/null
step "Gateway"
need_disk "$HOME" 400 "Building the gateway"
began=$SECONDS
cd "$root/gateway"
CGO_ENABLED=0 logged gateway "$root/scripts/go.sh" build -trimpath -ldflags '-s -w' -o "$output" ./cmd/tocsin-gateway
printf '    gateway: built in %d s\n' $((SECONDS - began))
