#!/usr/bin/env bash
# Formatting, lint, types, layers and contracts. Every step runs, also after one that failed; the end tells which did.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
bin=$PWD/.venv/bin
go=$(scripts/go.sh)
failed=()

step() {
  local name=$1
  shift
  printf '\033[1m==> %s\033[0m\n' "$name"
  "$@" || failed+=("$name")
}

# Prints what is not formatted, and fails if there is any.
go_format() {
  local found
  found=$("$("$go" env GOROOT)/bin/gofmt" -l gateway generated/openapi) || return 1
  [ -z "$found" ] || { printf 'not formatted (run gofmt -w):\n%s\n' "$found"; return 1; }
}

in_gateway() { (cd gateway && "$@"); }

step "ruff check" "$bin/ruff" check --quiet .
step "ruff format" "$bin/ruff" format --quiet --check .
step "types" "$bin/basedpyright" --level error
step "layers" "$bin/lint-imports"
step "buf lint" "$bin/buf" lint
step "buf format" "$bin/buf" format proto --diff --exit-code
step "buf breaking" scripts/breaking.sh
step "generated code" "$bin/python" scripts/generate.py --check
step "gofmt" go_format
step "go vet" in_gateway "$go" vet ./...
step "go test" in_gateway "$go" test ./...
step "shellcheck" "$bin/shellcheck" scripts/*.sh .ci/run

if [ ${#failed[@]} -gt 0 ]; then
  printf '\033[1;31mfailed: %s\033[0m\n' "$(IFS=,; echo "${failed[*]}")"
  exit 1
fi
echo "all checks passed"
