#!/usr/bin/env bash
# coverage.sh run [PYTEST ARGUMENTS]: runs tests, and measures which lines of services/ run, in every process.
# coverage.sh report: puts together what runs have measured, in .build/results; fails where a service has less than it should.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"
bin=$root/.venv/bin
results=.build/results

case ${1:-} in
  run)
    shift
    name=$(printf '%s' "${*:-all}" | tr -c 'a-zA-Z0-9\n' -)
    rm -rf "$results"
    mkdir -p "$results"
    "$bin/coverage" run -m pytest -n auto --junitxml="$results/junit-$name.xml" "$@"
    ;;
  report)
    "$bin/coverage" combine --keep --quiet
    "$bin/coverage" json --quiet -o "$results/coverage.json"
    "$bin/python" -m scripts.service_coverage
    ;;
  *) fail "usage: coverage.sh run|report" ;;
esac
