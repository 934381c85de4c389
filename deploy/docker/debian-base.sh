#!/usr/bin/env bash
# Makes base images from Debian's packages, for machines that reach no registry of images: `tocsin-debian`, a Python and
# what it stands on, and `tocsin-debian-build` with what an image is built with. Needs root, mmdebstrap and the engine.
#
#   debian-base.sh [MIRROR...]                     as mmdebstrap takes it: an address, or a file of sources
#   debian-base.sh --name NAME --packages A,B,...  one image with packages of yours in their place
#
# Then: BUILD_IMAGE=tocsin-debian-build BASE_IMAGE=tocsin-debian GATEWAY_BASE_IMAGE=scratch make images
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/environment.sh"
engine=${ENGINE:-docker}
suite=${SUITE:-bookworm}
command -v mmdebstrap >/dev/null || fail "There is no mmdebstrap. On Debian and Ubuntu: apt install mmdebstrap"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# make_base NAME PACKAGES [MIRROR...]
make_base() {
  local name=$1 packages=$2 log=debian-base
  shift 2
  step "$name"
  : >"$root/.build/logs/$log.log"
  # shellcheck disable=SC2016  # mmdebstrap's own variable
  logged "$log" mmdebstrap --variant=essential --include="$packages" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/* "$1"/var/log/*' \
    "$suite" "$folder/base.tar" "$@"
  "$engine" import "$folder/base.tar" "$name" >/dev/null
  rm "$folder/base.tar"
}

if [ "${1:-}" = --name ]; then
  [ "${3:-}" = --packages ] || fail "usage: debian-base.sh --name NAME --packages A,B,... [MIRROR...]"
  make_base "$2" "$4" "${@:5}"
else
  make_base tocsin-debian python3,libstdc++6,ca-certificates,passwd "$@"
  make_base tocsin-debian-build python3,python3-pip,python3-venv,binutils,ca-certificates "$@"
fi
