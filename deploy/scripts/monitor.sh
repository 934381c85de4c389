#!/usr/bin/env bash
# Shows how a deployment in Kubernetes is: services, pods, CPU and memory, errors in the logs, streams and consumers.
#
#   monitor.sh                      one look; the exit code says whether anything is amiss
#   monitor.sh --watch              a look every --interval, until Ctrl-C
#   monitor.sh --logs [SERVICE]     the logs of all services, or of one, as they are written
#
#   --namespace NAME   (tocsin)
#   --context NAME     the context of kubectl
#   --interval SECONDS between two looks (30)
#   --since SPAN       how far back errors and restarts count, as 90s, 10m, 2h (10m)
#   --cpu PERCENT      of its limit, from which a container is an alert (90); --memory PERCENT likewise (90)
#   --errors COUNT     lines of level error or critical of a pod, above which they are an alert (0)
#   --waiting COUNT    messages that wait for a consumer, above which they are an alert (10000)
#   --nats-url URL     the monitoring address of a NATS server outside the cluster; by default the pods nats-0, nats-1...
#   --level LEVEL      with --logs: only lines of this level and above (debug, info, warning, error)
#   --dry-run          show what would be asked
#
# Exit code: 0 all is well, 1 there are alerts (each is a line that begins with ALERT), 2 wrong usage, 3 the cluster does
# not answer. What cannot be seen (no metrics server, no NATS in the cluster) is said, and is no alert.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

namespace=tocsin mode=once service='' level='' interval=30 since=10m
cpu_limit=90 memory_limit=90 errors_limit=0 waiting_limit=10000 nats_url=''
while [ $# -gt 0 ]; do
  case $1 in
    --namespace) namespace=$(option "$@"); shift ;;
    --context) context=$(option "$@"); shift ;;
    --watch) mode=watch ;;
    --logs)
      mode=logs
      if [ $# -ge 2 ] && [[ $2 != -* ]]; then
        service=$2
        shift
      fi
      ;;
    --interval) interval=$(option "$@"); shift ;;
    --since) since=$(option "$@"); shift ;;
    --cpu) cpu_limit=$(option "$@"); shift ;;
    --memory) memory_limit=$(option "$@"); shift ;;
    --errors) errors_limit=$(option "$@"); shift ;;
    --waiting) waiting_limit=$(option "$@"); shift ;;
    --nats-url) nats_url=$(option "$@"); shift ;;
    --level) level=$(option "$@"); shift ;;
    --dry-run) dry_run=true ;;
    -h | --help) show_help && exit ;;
    *) wrong "unknown option: $1" ;;
  esac
  shift
done
for number in "$interval" "$cpu_limit" "$memory_limit" "$errors_limit" "$waiting_limit"; do
  [[ $number =~ ^[0-9]+$ ]] || wrong "'$number' is no whole number"
done
[[ $since =~ ^([0-9]+)([smh])$ ]] || wrong "--since takes a span like 90s, 10m or 2h, not '$since'"
case ${BASH_REMATCH[2]} in s) unit=1 ;; m) unit=60 ;; h) unit=3600 ;; esac
since_seconds=$((BASH_REMATCH[1] * unit))
case $level in
  '' | debug) levels='' ;;
  info) levels='info|warning|error|critical' ;;
  warning) levels='warning|error|critical' ;;
  error) levels='error|critical' ;;
  *) wrong "unknown level: $level (debug, info, warning, error)" ;;
esac
need kubectl curl python3

work=$(mktemp -d)
trap 'unforward; rm -rf "$work"' EXIT

# --- The logs as they are written ------------------------------------------------------------------------------------

if [ "$mode" = logs ]; then
  selector=${service:+app.kubernetes.io/name=$service}
  follow=(kube logs --follow --prefix --all-containers --tail=20 --max-log-requests=50
    --selector "${selector:-app.kubernetes.io/name}")
  if $dry_run; then
    run "${follow[@]}"
  elif [ -n "$levels" ]; then
    "${follow[@]}" | grep --line-buffered -E "\"level\": ?\"($levels)\""
  else
    "${follow[@]}"
  fi
  exit
fi

# --- A look ----------------------------------------------------------------------------------------------------------

alert() { echo "ALERT $*" | tee -a "$work/alerts"; }

deployments() {
  local name wanted available
  kube get deployments -o jsonpath='{range .items[*]}{.metadata.name} {.spec.replicas} {.status.availableReplicas}{"\n"}{end}' \
    >"$work/deployments"
  printf '%-22s %8s %10s\n' service wanted available
  while read -r name wanted available; do
    printf '%-22s %8s %10s\n' "$name" "$wanted" "${available:-0}"
    [ "${available:-0}" -ge "$wanted" ] || alert "service: $name has ${available:-0} of $wanted pods"
  done <"$work/deployments"
  [ -s "$work/deployments" ] || alert "service: there is no deployment in the namespace $namespace"
}

# A line for each container: pod, container, restarts, why it waits, why it ended last, when.
pods() {
  local pod container restarts waiting ended when restarted
  # shellcheck disable=SC2016  # a template of Go
  kube get pods --field-selector=status.phase!=Succeeded -o go-template='{{range .items}}{{$pod := .metadata.name}}{{range .status.containerStatuses}}{{$pod}} {{.name}} {{.restartCount}} {{with .state.waiting}}{{.reason}}{{else}}-{{end}} {{with .lastState.terminated}}{{.reason}} {{.finishedAt}}{{else}}- -{{end}}{{"\n"}}{{end}}{{end}}' \
    >"$work/pods"
  while read -r pod container restarts waiting ended when; do
    case $waiting in
      - | ContainerCreating | PodInitializing) ;;
      *) alert "pod: $pod, container $container: $waiting" ;;
    esac
    [ "$when" != - ] || continue
    restarted=$(date -d "$when" +%s)
    [ $(($(date +%s) - restarted)) -ge "$since_seconds" ] ||
      alert "pod: $pod, container $container ended at $when ($ended), $restarts restarts in all"
  done <"$work/pods"
}

# Both lists have a line for each container; quantities as Kubernetes writes them (250m, 1; 128Mi, 1Gi).
resources() {
  # shellcheck disable=SC2016  # a template of Go
  kube get pods -o go-template='{{range .items}}{{$pod := .metadata.name}}{{range .spec.containers}}{{$pod}}/{{.name}} {{with .resources.limits}}{{with .cpu}}{{.}}{{else}}-{{end}} {{with .memory}}{{.}}{{else}}-{{end}}{{else}}- -{{end}}{{"\n"}}{{end}}{{end}}' \
    >"$work/limits"
  if ! kube top pods --containers --no-headers >"$work/top" 2>"$work/no-top"; then
    echo "CPU and memory cannot be seen: $(head -n 1 "$work/no-top")"
    return
  fi
  awk -v cpu_limit="$cpu_limit" -v memory_limit="$memory_limit" '
    function cpu(text) { return text ~ /m$/ ? text + 0 : text * 1000 }
    function bytes(text, unit) {
      unit = text
      gsub(/[0-9.]/, "", unit)
      return text * (unit == "Ki" ? 1024 : unit == "Mi" ? 1048576 : unit == "Gi" ? 1073741824 : 1)
    }
    function share(used, limit) { return limit > 0 ? int(100 * used / limit + 0.5) : -1 }
    function judge(what, of_limit, most) {
      if (of_limit >= most) alerts[++count] = "ALERT " what ": " $1 ", container " $2 ", is at " of_limit " % of its limit"
    }
    BEGIN { printf "%-44s %12s %14s\n", "pod, container", "CPU", "memory" }
    NR == FNR { cpus[$1] = $2; memories[$1] = $3; next }
    {
      key = $1 "/" $2
      cpu_share = cpus[key] == "-" ? -1 : share(cpu($3), cpu(cpus[key]))
      memory_share = memories[key] == "-" ? -1 : share(bytes($4), bytes(memories[key]))
      printf "%-44s %6s %4s%% %8s %4s%%\n", $1 ", " $2, $3, cpu_share < 0 ? "-" : cpu_share, $4, memory_share < 0 ? "-" : memory_share
      judge("CPU", cpu_share, cpu_limit)
      judge("memory", memory_share, memory_limit)
    }
    END { for (i = 1; i <= count; i++) print alerts[i] }
  ' "$work/limits" "$work/top" | tee -a "$work/usage"
  grep '^ALERT' "$work/usage" >>"$work/alerts" || true
}

errors() {
  local pod count total=0
  while read -r pod; do
    kube logs "$pod" --all-containers --since="$since" 2>/dev/null |
      grep -E '"level": ?"(error|critical)"' >"$work/errors" || true
    count=$(wc -l <"$work/errors")
    total=$((total + count))
    [ "$count" -le "$errors_limit" ] || {
      alert "errors: $pod logged $count within $since, the last one:"
      tail -n 1 "$work/errors" | cut -c 1-400
    }
  done < <(awk '{ print $1 }' "$work/pods" | sort -u)
  echo "errors within $since: $total"
}

# jsz URL: what JetStream says of itself, behind a monitoring address.
jsz() { curl --silent --show-error --fail --max-time 10 "$1/jsz?accounts=true&streams=true&consumers=true"; }

streams() {
  local pod status=0
  : >"$work/jsz"
  if [ -n "$nats_url" ]; then
    jsz "${nats_url%/}" >>"$work/jsz" 2>"$work/no-jsz" || alert "streams: $nats_url does not tell: $(cat "$work/no-jsz")"
  else
    while read -r pod; do
      if forward "pod/$pod" 8222 2>"$work/no-jsz"; then
        jsz "http://$forwarded" >>"$work/jsz" 2>"$work/no-jsz" ||
          alert "streams: $pod does not tell: $(cat "$work/no-jsz")"
        unforward
      else
        alert "streams: $(cat "$work/no-jsz")"
      fi
    done < <(awk '$1 ~ /^nats-[0-9]+$/ { print $1 }' "$work/pods" | sort -u)
  fi
  if [ ! -s "$work/jsz" ]; then
    echo "the streams cannot be seen: no answer of NATS (--nats-url names a server outside the cluster)"
    return
  fi
  python3 "$root/deploy/scripts/jetstream.py" --waiting "$waiting_limit" <"$work/jsz" >"$work/streams" || status=$?
  cat "$work/streams"
  [ "$status" -le 1 ] || alert "streams: what NATS told cannot be read"
  grep '^ALERT' "$work/streams" >>"$work/alerts" || true
}

# look: shows all of it; 1 when there are alerts, 3 when the cluster does not answer.
look() {
  : >"$work/alerts"
  : >"$work/usage"
  step "$(date -u +%Y-%m-%dT%H:%M:%SZ) namespace $namespace"
  kube get deployments -o name >/dev/null || return 3
  deployments
  pods
  echo
  resources
  echo
  errors
  echo
  streams
  echo
  if [ -s "$work/alerts" ]; then
    echo "$(wc -l <"$work/alerts") alerts"
    return 1
  fi
  echo "all is well"
}

if $dry_run; then
  run kube get deployments
  run kube get pods
  run kube top pods --containers
  run kube logs POD --all-containers --since="$since"
  if [ -n "$nats_url" ]; then run curl "${nats_url%/}/jsz"; else run kube port-forward pod/nats-0 :8222; fi
  exit
fi

status=0
while :; do
  status=0
  look || status=$?
  [ "$mode" = watch ] || break
  trap 'exit "$status"' INT TERM
  sleep "$interval"
done
exit "$status"
