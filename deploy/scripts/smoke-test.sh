#!/usr/bin/env bash
# Asks a deployment, through its edge, for what a client asks: whether it works from end to end.
#
#   TOCSIN_TOKEN=eyJ... smoke-test.sh https://stage.tocsin.example
#
#   --version TEXT     the version that /health has to tell
#   --timeout SECONDS  for all of it (30)
#   --dry-run          show what would be asked
#
# GET /health has to say that all serve; a call without a token has to be refused; with the token in TOCSIN_TOKEN (scopes
# readings:write and readings:read) a temperature of the room `probe` of a building `smoke-test` is sent, and has to be the
# last one in the average of that room. Without a token that step is left out, and said to be.
#
# Exit code: 0 it works; 1 it does not; 2 wrong usage.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

edge='' version='' timeout=30
while [ $# -gt 0 ]; do
  case $1 in
    --version) version=$(option "$@"); shift ;;
    --timeout) timeout=$(option "$@"); shift ;;
    --dry-run) dry_run=true ;;
    -h | --help) show_help && exit ;;
    -*) wrong "unknown option: $1" ;;
    *)
      [ -z "$edge" ] || wrong "one edge at a time: $edge, $1"
      edge=${1%/}
      ;;
  esac
  shift
done
[[ $edge =~ ^https?:// ]] || wrong "the address of the edge is needed, as https://tocsin.example"
[[ $timeout =~ ^[1-9][0-9]*$ ]] || wrong "--timeout takes seconds, not '$timeout'"
need curl

deadline=$((SECONDS + timeout))
status='' body=''

# ask PATH [CURL OPTION...]: sets `status` and `body`. The token is read from standard input: arguments can be seen by others.
ask() {
  local path=$1 answer
  shift
  answer=$(curl --silent --show-error --max-time 10 --write-out '\n%{http_code}' "$@" "$edge$path" 2>&1) || true
  status=${answer##*$'\n'} body=${answer%$'\n'*}
}

with_token() { ask "$@" --header @- <<<"authorization: Bearer $TOCSIN_TOKEN"; }

works() { echo "  works: $1"; }

broken() { fail 1 "FAILED: $1: $status ${body:0:1000}"; }

# until_true WHAT COMMAND...: again and again, until the timeout is over.
until_true() {
  local what=$1
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || broken "$what"
    sleep 1
  done
  works "$what"
}

healthy() {
  ask /health
  [ "$status" = 200 ] && [[ $body == *'"status":"SERVING"'* ]] &&
    { [ -z "$version" ] || [[ $body == *"\"version\":\"$version\""* ]]; }
}

counted() {
  with_token "/v1/buildings/smoke-test/rooms/probe/average"
  [ "$status" = 200 ] && [[ $body =~ \"last\":${kelvin}[,}] ]]
}

if $dry_run; then
  for request in "GET /health" "GET /v1/buildings" "POST /v1/readings" "GET /v1/buildings/smoke-test/rooms/probe/average"; do
    echo "  would ask: $edge ${request}"
  done
  exit
fi

step "$edge"
until_true "all parts serve${version:+, version $version}" healthy
ask /v1/buildings
[ "$status" = 401 ] || broken "a call without a token is refused"
works "a call without a token is refused"
if [ -z "${TOCSIN_TOKEN:-}" ]; then
  echo "  left out: a reading (there is no TOCSIN_TOKEN)"
  exit
fi
# Another value each second, so that it is this one that is found.
kelvin=29$(date +%s | tail -c 5 | sed 's/^\(.\)\(.*\)$/\1.\2/')1
with_token /v1/readings --header 'content-type: application/json' \
  --data "{\"building\":\"smoke-test\",\"room\":\"probe\",\"sensorType\":\"temperature\",\"value\":$kelvin,\"unit\":\"K\"}"
[ "$status" = 200 ] || broken "a reading is taken"
works "a reading is taken"
until_true "the reading counts in the average" counted
