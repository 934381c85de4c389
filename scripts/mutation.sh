#!/usr/bin/env bash
# Changes the code a little, many times, and looks whether the tests notice: a fixed sample of all such changes (mutants) to
# `domain` and `application` of every service. A mutant is judged by the unit and then the contract tests that stand on its
# module, nearest first.
#
#   mutation.sh [--count N] [--seed N]    (60, 1)
#
# Works on a clone of what is committed, in .build/mutation. Survivors and the score are in .build/results/mutation.md. The
# exit code is 1 when the score is below the gate of scripts/mutants.py.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"
work=$root/.build/mutation tree=$root/.build/mutation/tree tools=$root/.build/quality/bin

rm -rf "$work"
mkdir -p "$work" .build/results
git clone --quiet --shared . "$tree"
ln -s "$root/.venv" "$root/.build" "$tree/"
printf '/.venv\n/.build\n' >>"$tree/.git/info/exclude"

cat >"$work/cosmic-ray.toml" <<'END'
[cosmic-ray]
module-path = [
  "services/ingestion/domain", "services/ingestion/application",
  "services/aggregation/domain", "services/aggregation/application",
  "services/media_probe/domain", "services/media_probe/application",
  "services/notification/domain", "services/notification/application",
]
timeout = 600.0
excluded-modules = []
test-command = ".venv/bin/python -m scripts.affected --base HEAD --in tests/unit --in tests/contract -- -q -x -p no:cacheprovider"

[cosmic-ray.distributor]
name = "local"
END

cd "$tree"
step "The tests, before anything is changed"
"$root/.venv/bin/pytest" -q -n auto tests/unit tests/contract
step "All mutants"
"$tools/cosmic-ray" init "$work/cosmic-ray.toml" "$work/session.sqlite"
step "A sample"
"$root/.venv/bin/python" -m scripts.mutants sample "$work/session.sqlite" "$@"
step "The tests judge"
"$tools/cosmic-ray" exec "$work/cosmic-ray.toml" "$work/session.sqlite"
cd "$root"
"$tools/cosmic-ray" dump "$work/session.sqlite" >"$work/results.jsonl"
.venv/bin/python -m scripts.mutants report "$work/results.jsonl"
