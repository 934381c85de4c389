#!/usr/bin/env bash
# Formatting, lint, types, layers and contracts. Every step runs, also after one that failed; the end tells which did.
# lint.sh [GROUP...]: only the steps of these groups (code, types, contracts, gateway, scripts).
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root" || exit
bin=$root/.venv/bin
go=$root/scripts/go.sh
failed=()
groups=" ${*:-code types contracts gateway scripts} "

# check GROUP NAME COMMAND...
check() {
  local group=$1 name=$2
  shift 2
  [[ $groups == *" $group "* ]] || return 0
  step "$name"
  "$@" || failed+=("$name")
}

# Prints what is not formatted, and fails if there is any.
go_format() {
  local found
  found=$("$("$go" env GOROOT)/bin/gofmt" -l gateway generated/openapi) || return 1
  [ -z "$found" ] || { printf 'not formatted (run gofmt -w):\n%s\n' "$found"; return 1; }
}

# By their schema, and for what lets others in.
workflows() {
  "$bin/check-jsonschema" --builtin-schema vendor.github-workflows .github/workflows/*.yml &&
    "$bin/check-jsonschema" --builtin-schema vendor.github-actions .github/actions/*/action.yml &&
    "$bin/zizmor" --offline --quiet --config .github/zizmor.yml .github
}

in_gateway() { (cd gateway && "$@"); }

check code "ruff check" "$bin/ruff" check --quiet .
check code "ruff format" "$bin/ruff" format --quiet --check .
check types "types" "$bin/basedpyright" --level error
check types "layers" "$bin/lint-imports"
check contracts "buf lint" "$bin/buf" lint
check contracts "buf format" "$bin/buf" format proto --diff --exit-code
check contracts "buf breaking" scripts/breaking.sh
check contracts "generated code" "$bin/python" scripts/generate.py --check
check gateway "gofmt" go_format
check gateway "go vet" in_gateway "$go" vet ./...
check gateway "go test" in_gateway "$go" test ./...
check scripts "shellcheck" "$bin/shellcheck" -x -P SCRIPTDIR scripts/*.sh deploy/*/*.sh deploy/*/*/*.sh .ci/run
check scripts "workflows" workflows

if [ ${#failed[@]} -gt 0 ]; then
  printf '%sfailed: %s%s\n' "$red" "$(IFS=,; echo "${failed[*]}")" "$plain"
  exit 1
fi
echo "all checks passed"
