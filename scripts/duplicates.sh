#!/usr/bin/env bash
# Reports lines of services/ that stand in several places: a report, no gate. What is alike on purpose (a port's adapters, the
# shape that all services have) is in it, too.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"
mkdir -p .build/results

report=.build/results/duplicates.txt
.build/quality/bin/pylint --jobs=1 --disable=all --enable=duplicate-code --score=no --exit-zero \
  --min-similarity-lines=8 --ignore-comments=y --ignore-docstrings=y --ignore-imports=y --ignore-signatures=y \
  services >"$report"
cat "$report"
printf '%d places of eight or more equal lines; all of them in %s\n' "$(grep -c R0801 "$report" || true)" "$report"
