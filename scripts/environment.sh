#!/usr/bin/env bash
# What the scripts share; to be sourced. `root` is the repository, the current directory stays.
# shellcheck disable=SC2034  # whoever sources this uses what is set
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "$root/.build/bin" "$root/.build/logs"

# uv, pip and Go keep their caches in the home directory; where there is none to write to, they get one.
if [ -z "${HOME:-}" ] || [ ! -d "$HOME" ] || [ ! -w "$HOME" ]; then
  export HOME=$root/.build/home
  mkdir -p "$HOME"
fi

bold='' red='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
  bold=$'\033[1m' red=$'\033[1;31m' plain=$'\033[0m'
fi

step() { printf '%s==> %s%s\n' "$bold" "$*" "$plain"; }

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

# logged NAME COMMAND...: runs the command with its output in .build/logs/NAME.log, and says every half a minute that it
# is at it. When the command fails, the end of the log is shown.
logged() {
  local name=$1 log=$root/.build/logs/$1.log status=0 beat
  shift
  heartbeat "$name" &
  beat=$!
  # shellcheck disable=SC2064  # the one of now
  trap "kill $beat 2>/dev/null" EXIT
  "$@" </dev/null >>"$log" 2>&1 || status=$?
  kill "$beat" 2>/dev/null
  trap - EXIT
  [ "$status" -eq 0 ] || {
    tail -n 20 "$log" >&2
    printf '\n%s failed; all of its output is in %s\n' "$name" "$log" >&2
  }
  return "$status"
}

heartbeat() {
  local began=$SECONDS
  # Waits without a child, which would outlive this and keep the terminal's pipe open.
  exec 8<> <(:)
  while :; do
    read -rt 30 -u 8 || true
    printf '    %s: at it for %d s\n' "$1" $((SECONDS - began))
  done
}

# need_disk FOLDER MIB WHAT: ends the script when the disk of the folder has less free than it will take.
need_disk() {
  local free
  free=$(df -Pk "$1" | awk 'NR == 2 { print int($4 / 1024) }')
  [ "$free" -ge "$2" ] || fail "$3 needs about $2 MiB of free disk, and there are $free MiB in $1."
}
