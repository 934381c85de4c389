#!/usr/bin/env bash
# sbom.sh [IMAGE...]: writes what is shipped as CycloneDX, in .build/sbom: the pinned packages of Python, the modules of the
# gateway, and all that lies in the images that are named.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"
folder=.build/sbom
mkdir -p "$folder"

.build/quality/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
  --output-file "$folder/packages.cdx.json" requirements.lock
scripts/go.sh run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0 bin -json \
  -version "$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)" -output "$folder/gateway.cdx.json" .build/bin/tocsin-gateway
for image in "$@"; do
  scripts/go.sh run github.com/anchore/syft/cmd/syft@v1.57.1 scan "docker:$image" --quiet \
    --output "cyclonedx-json=$folder/image-${image//[^a-zA-Z0-9.-]/-}.cdx.json"
done
ls "$folder"
