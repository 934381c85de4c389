#!/usr/bin/env bash
# Compares the contracts with those of main: public messages never break (buf.yaml says by which rules).
# BASE names another revision to compare with.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
buf=$PWD/.venv/bin/buf

base=${BASE:-}
if [ -z "$base" ]; then
  for candidate in origin/main main; do
    if git rev-parse --verify --quiet "$candidate^{commit}" >/dev/null; then
      base=$candidate
      break
    fi
  done
fi
if [ -z "$base" ]; then
  echo "there is no main to compare with; set BASE to a revision" >&2
  exit 1
fi
if ! git cat-file -e "$base:proto" 2>/dev/null || ! git cat-file -e "$base:buf.yaml" 2>/dev/null; then
  echo "$base has no contracts yet: nothing can break"
  exit 0
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
git archive "$base" proto buf.yaml | tar -x -C "$folder"
# Third-party contracts are not in git; those of today serve both sides.
mkdir "$folder/.build"
ln -s "$PWD/.build/third_party" "$folder/.build/third_party"
"$buf" breaking --against "$folder"
echo "nothing breaks against $base ($(git rev-parse --short "$base"))"
