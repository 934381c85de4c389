#!/usr/bin/env bash
# Builds the images `tocsin` and `tocsin-gateway` and tells how large they are.
#
#   images.sh [TAG]            the tag is the version of pyproject.toml by default
#
# ENGINE               docker (by default) or buildah
# BUILD_IMAGE          Python with pip and binutils, in which packages are installed (python:...-bookworm)
# BASE_IMAGE           the same Python without them, which the image stands on (python:...-slim-bookworm)
# GATEWAY_BASE_IMAGE   what the gateway stands on (distroless static); `scratch` does, too
#
# Where no registry of images is reached, debian-base.sh makes the first two from Debian's packages.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/environment.sh"
cd "$root"
engine=${ENGINE:-docker}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
tag=${1:-$version}
revision=$(git rev-parse HEAD 2>/dev/null || true)
created=$(git log -1 --format=%cI 2>/dev/null || date -u +%Y-%m-%dT%H:%M:%SZ)
limit=200
[ -x .build/bin/tocsin-gateway ] || fail "There is no gateway; build it with 'make gateway'."

# default FILE: the base image that a Dockerfile names.
default() { sed -n 's/^ARG BASE_IMAGE=//p' "deploy/docker/$1"; }

build() {
  local name=$1 file=$2
  shift 2
  step "$name:$tag"
  : >".build/logs/image-$name.log"
  logged "image-$name" "$engine" build --file "deploy/docker/$file" --tag "$name:$tag" --tag "$name:latest" \
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision" --build-arg "CREATED=$created" "$@" .
}

# tell NAME BASE: what an image takes on the disk, what of it stands beyond the base, and what a registry stores and sends.
tell() {
  local name=$1 all base=0 sent
  all=$("$engine" image inspect --format '{{.Size}}' "$name:$tag")
  [ "$2" = scratch ] || base=$("$engine" image inspect --format '{{.Size}}' "$2")
  sent=$("$engine" save "$name:$tag" | gzip -6 | wc -c)
  printf '    %s: %d MB on the disk, %d beyond the base; %d MB compressed\n' \
    "$name" $((all / 1000000)) $(((all - base) / 1000000)) $((sent / 1000000))
  [ $((all - base)) -lt $((limit * 1000000)) ] || fail "$name has more than $limit MB beyond its base."
}

base=${BASE_IMAGE:-$(default Dockerfile)}
gateway_base=${GATEWAY_BASE_IMAGE:-$(default gateway.Dockerfile)}
build tocsin Dockerfile --build-arg "BASE_IMAGE=$base" ${BUILD_IMAGE:+--build-arg "BUILD_IMAGE=$BUILD_IMAGE"}
build tocsin-gateway gateway.Dockerfile --build-arg "BASE_IMAGE=$gateway_base"
tell tocsin "$base"
tell tocsin-gateway "$gateway_base"
