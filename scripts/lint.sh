#!/usr/bin/env bash
# Formatting, lint, types, layers and contracts. Every step runs, also after one that failed; the end tells which did.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root" || exit
bin=$root/.venv/bin
go=$root/scripts/go.sh
failed=()

check() {
  local name=$1
  shift
  step "$name"
  "$@" || failed+=("$name")
}

# Prints what is not formatted, and fails if there is any.
go_format() {
  local found
  found=$("$("$go" env GOROOT)/bin/gofmt" -l gateway generated/openapi) || return 1
  [ -z "$found" ] || { printf 'not formatted (run gofmt -w):\n%s\n' "$found"; return 1; }
}

in_gateway() { (cd gateway && "$@"); }

check "ruff check" "$bin/ruff" check --quiet .
check "ruff format" "$bin/ruff" format --quiet --check .
check "types" "$bin/basedpyright" --level error
check "layers" "$bin/lint-imports"
check "buf lint" "$bin/buf" lint
check "buf format" "$bin/buf" format proto --diff --exit-code
check "buf breaking" scripts/breaking.sh
check "generated code" "$bin/python" scripts/generate.py --check
check "gofmt" go_format
check "go vet" in_gateway "$go" vet ./...
check "go test" in_gateway "$go" test ./...
check "shellcheck" "$bin/shellcheck" -x -P SCRIPTDIR scripts/*.sh .ci/run

if [ ${#failed[@]} -gt 0 ]; then
  printf '%sfailed: %s%s\n' "$red" "$(IFS=,; echo "${failed[*]}")" "$plain"
  exit 1
fi
echo "all checks passed"
