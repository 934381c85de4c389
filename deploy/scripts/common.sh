#!/usr/bin/env bash
# What the scripts of this folder share; to be sourced.
# shellcheck disable=SC2034  # whoever sources this uses what is set
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dry_run=false
context=
namespace=
forwarder=
forwarded=

step() { printf '==> %s\n' "$*"; }

# fail CODE MESSAGE...: ends the script; the messages are lines.
fail() {
  local code=$1
  shift
  printf '%s\n' "$@" >&2
  exit "$code"
}

wrong() { fail 2 "$1" "$(basename "$0") --help explains it."; }

# The comment at the top of a script is its help.
show_help() { awk 'NR == 1 { next } !/^#/ { exit } { sub(/^# ?/, ""); print }' "$0"; }

# option NAME VALUE...: the value that has to follow an option.
option() {
  [ $# -ge 2 ] || wrong "$1 needs a value"
  printf '%s' "$2"
}

need() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null 2>&1 || fail 2 "$program is needed, and not on PATH"
  done
}

# run COMMAND...: what changes something; a dry run only shows it.
run() {
  if $dry_run; then
    [ "$1" != kube ] || set -- kubectl ${namespace:+--namespace "$namespace"} "${@:2}"
    printf '  would run:'
    printf ' %q' "$@"
    printf '\n'
  else
    "$@"
  fi
}

# Every call goes to the context that was named.
kubectl() { command kubectl ${context:+--context "$context"} "$@"; }

# kube ARGUMENTS...: kubectl in the namespace of the deployment.
kube() { kubectl ${namespace:+--namespace "$namespace"} "$@"; }

# forward TARGET PORT: a way to a port in the cluster, past its network policies, until `unforward`; its address on this
# machine is in `forwarded`.
forward() {
  local line=
  exec {forward_lines}< <(exec kubectl ${context:+--context "$context"} --namespace "$namespace" \
    port-forward --address 127.0.0.1 "$1" ":$2" 2>&1)
  forwarder=$!
  read -rt 15 -u "$forward_lines" line || true
  if [[ $line =~ 127\.0\.0\.1:([0-9]+) ]]; then
    forwarded=127.0.0.1:${BASH_REMATCH[1]}
  else
    unforward
    echo "no way to $1: ${line:-kubectl port-forward said nothing}" >&2
    return 1
  fi
}

unforward() {
  [ -z "$forwarder" ] || kill "$forwarder" 2>/dev/null || true
  forwarder=
}
