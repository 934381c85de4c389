#!/usr/bin/env bash
# Makes the stand-ins: build.sh [MIRROR], as deploy/docker/debian-base.sh takes it.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../../scripts/environment.sh"
engine=${ENGINE:-docker}
here=$root/deploy/compose/stand-ins
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$root/deploy/docker/debian-base.sh" --name tocsin-stand-in:base \
  --packages postgresql-15,nginx-light,prometheus,python3,python3-aiosmtpd,wget "$@"
cp "$here/Dockerfile" "$here/collector.py" "$here/postgres.sh" "$folder"
cp "$("$root/.venv/bin/python" -c 'from services.cli.runtime.edge import find_envoy; print(find_envoy())')" "$folder/envoy"
cp "$root/.venv/bin/nats-server" "$folder/nats-server"
for target in postgres nats envoy nginx prometheus otel-collector mail; do
  step "tocsin-stand-in:$target"
  "$engine" build --quiet --target "$target" --tag "tocsin-stand-in:$target" "$folder"
done
