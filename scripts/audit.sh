#!/usr/bin/env bash
# audit.sh [IMAGE...]: asks the databases of known vulnerabilities for what is shipped: the pinned packages of Python, the
# gateway's modules as far as its code reaches them, and all that lies in the images that are named. Needs the network; fails
# when there is a vulnerability (in an image: a high one that a newer package mends), or no answer.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root" || exit
failed=()

# audit WHAT COMMAND...
audit() {
  local what=$1
  shift
  step "$what"
  "$@" || failed+=("$what")
}

in_gateway() { (cd gateway && "$@"); }

audit "Packages of Python" \
  .build/quality/bin/pip-audit --strict --progress-spinner=off --require-hashes --disable-pip -r requirements.lock
audit "Modules of the gateway" in_gateway "$root/scripts/go.sh" run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...
for image in "$@"; do
  audit "Image $image" "$root/scripts/go.sh" run github.com/anchore/grype/cmd/grype@v0.121.3 \
    "docker:$image" --quiet --only-fixed --fail-on high
done

[ ${#failed[@]} -eq 0 ] || fail "failed: $(IFS=,; echo "${failed[*]}")"
