#!/usr/bin/env bash
# Deploys an overlay of deploy/kubernetes/ to the cluster that kubectl talks to, and takes it back when it does not work.
#
#   deploy.sh OVERLAY --version VERSION [--registry NAME]
#   deploy.sh stage --images pushed.txt
#
#   --version TEXT     the images' tag
#   --registry NAME    what stands before the images' names (also TOCSIN_REGISTRY)
#   --images FILE      what build-and-push.sh --output has written: the images by digest, in place of the two above
#   --context NAME     the context of kubectl
#   --edge URL         where the mesh is reached, as https://tocsin.example; by default a way through kubectl to Envoy
#   --timeout SECONDS  for the migration, the rollout and the health check, each (300)
#   --dry-run          show what would be applied, in order; asks no cluster
#
# In order: configuration, secrets and what guards the pods; the stores that the overlay brings (StatefulSets); the Job
# that migrates; the services; autoscaling. Each has to stand before the next begins. Then GET /health has to answer 200.
#
# A service that does not come up, or an edge that is not healthy, is told with its reason, and every service goes back to
# what ran before. Migrations are not taken back: the version before runs on the database of the next one.
#
# Exit code: 0 done; 1 it failed, and what ran before runs; 2 wrong usage; 3 it failed, and so did the way back.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

overlay='' version='' registry=${TOCSIN_REGISTRY:-} pushed='' edge='' timeout=300
while [ $# -gt 0 ]; do
  case $1 in
    --version) version=$(option "$@"); shift ;;
    --registry) registry=$(option "$@"); shift ;;
    --images) pushed=$(option "$@"); shift ;;
    --context) context=$(option "$@"); shift ;;
    --edge) edge=$(option "$@"); shift ;;
    --timeout) timeout=$(option "$@"); shift ;;
    --dry-run) dry_run=true ;;
    -h | --help) show_help && exit ;;
    -*) wrong "unknown option: $1" ;;
    *)
      [ -z "$overlay" ] || wrong "one overlay at a time: $overlay, $1"
      overlay=$1
      ;;
  esac
  shift
done
overlays=$root/deploy/kubernetes/overlays
[ -n "$overlay" ] || wrong "which overlay? There are: $(cd "$overlays" && echo *)"
[ -f "$overlays/$overlay/kustomization.yaml" ] || wrong "no overlay $overlay; there are: $(cd "$overlays" && echo *)"
[ -n "$version$pushed" ] || wrong "--version or --images says what to deploy"
[ -z "$pushed" ] || [ -r "$pushed" ] || wrong "cannot read $pushed"
[[ $timeout =~ ^[1-9][0-9]*$ ]] || wrong "--timeout takes seconds, not '$timeout'"
need kubectl curl

work=$(mktemp -d)
trap 'unforward; rm -rf "$work"' EXIT

# --- What is to be applied -------------------------------------------------------------------------------------------

# image_of NAME: the line of a kustomization that puts the image to be deployed in the place of the overlay's.
image_of() {
  local base=${1##*/} to digest
  if [ -n "$pushed" ]; then
    read -r to digest < <(awk -v base="$base" '{ name = $1; sub(/.*\//, "", name) } name == base { print $1, $3 }' "$pushed") ||
      fail 2 "$pushed does not name the image $base"
    printf -- '- {name: "%s", newName: "%s", digest: "%s"}\n' "$1" "$to" "$digest"
  else
    printf -- '- {name: "%s", newName: "%s", newTag: "%s"}\n' "$1" "${registry:+$registry/}$base" "$version"
  fi
}

# render: the overlay with the images that were named, in $work/all.yaml.
render() {
  local used name file=$work/kustomize/kustomization.yaml
  mkdir "$work/kustomize"
  kubectl kustomize "$overlays/$overlay" >"$work/overlay.yaml" || fail 2 "the overlay $overlay cannot be built"
  # By whatever name the overlay has them.
  mapfile -t used < <(sed -n 's/^ *\(- \)\?image: *"\?\([^"@]*\).*$/\2/p' "$work/overlay.yaml" | sed 's/:[^:/]*$//' |
    grep -E '(^|/)tocsin(-gateway)?$' | sort -u)
  printf 'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: ["%s"]\nimages:\n' \
    "$(realpath --relative-to="$work/kustomize" "$overlays/$overlay")" >"$file"
  for name in "${used[@]}"; do
    image_of "$name" >>"$file"
  done
  kubectl kustomize "$work/kustomize" >"$work/all.yaml" || fail 2 "the overlay $overlay cannot be built with other images"
}

# Sorts the objects into files, by when their kind is applied; lists the deployments with their namespace.
sort_objects() {
  awk -v folder="$work" '
    function phase(kind) {
      if (kind == "StatefulSet") return "2-stores"
      if (kind == "Job") return "3-migration"
      if (kind == "Deployment" || kind == "DaemonSet") return "4-services"
      if (kind == "HorizontalPodAutoscaler" || kind == "ScaledObject") return "5-scaling"
      return "1-configuration"
    }
    function put() {
      if (kind != "") {
        printf "---\n%s", object >> (folder "/" phase(kind) ".yaml")
        print phase(kind), kind, name, space >> (folder "/objects")
      }
      object = kind = name = space = ""
    }
    /^---/ { put(); next }
    /^[a-zA-Z]/ { top = $1 }
    /^kind: / { kind = $2 }
    top == "metadata:" && /^  name: / { name = $2 }
    top == "metadata:" && /^  namespace: / { space = $2 }
    { object = object $0 "\n" }
    END { put() }
  ' "$work/all.yaml"
}

names_of() { awk -v kind="$1" '$2 == kind { print $3 }' "$work/objects"; }

render
sort_objects
namespace=$(awk '$2 == "Deployment" { print $4; exit }' "$work/objects")
mapfile -t services < <(names_of Deployment)
[ -n "$namespace" ] && [ ${#services[@]} -gt 0 ] || fail 2 "the overlay $overlay has no Deployment in a namespace"

# --- Steps -----------------------------------------------------------------------------------------------------------

apply() {
  local file=$work/$1.yaml
  [ -s "$file" ] || return 0
  if $dry_run; then
    awk -v phase="$1" '$1 == phase { print "  would apply: " $2 "/" $3 }' "$work/objects"
  else
    kube apply --filename "$file"
  fi
}

# rolled_out KIND NAME...: waits until each stands, all of them within the timeout; the first that does not is `culprit`.
rolled_out() {
  local kind=$1 name deadline=$((SECONDS + timeout))
  shift
  for name in "$@"; do
    culprit=$kind/$name
    run kube rollout status "$kind/$name" --timeout="$((deadline > SECONDS ? deadline - SECONDS : 1))s" || return 1
  done
  culprit=
}

# Why the pods of something do not stand: what Kubernetes says of them, and the last lines that they logged.
explain() {
  local name=${1#*/} pod state
  while IFS=$'\t' read -r pod state; do
    [[ $pod == "$name"-* ]] && [ -n "${state// /}" ] || continue
    printf '  %s: %s\n' "$pod" "$state"
    { kube logs "$pod" --all-containers --tail=5 2>/dev/null || true; } | sed 's/^/    /'
  done < <(kube get pods -o jsonpath='{range .items[*]}{.metadata.name}{"\t"}{range .status.initContainerStatuses[*]}{.state.waiting.reason} {.state.waiting.message} {end}{range .status.containerStatuses[*]}{.state.waiting.reason} {.state.waiting.message} {.lastState.terminated.reason} {end}{.status.conditions[?(@.status=="False")].message}{"\n"}{end}')
  kube get events --field-selector type=Warning --sort-by=.lastTimestamp \
    -o jsonpath='{range .items[*]}{.involvedObject.name}{": "}{.message}{"\n"}{end}' |
    { grep -E "^${name}(-|:)" || true; } | tail -n 3 | sed 's/^/  /'
}

# Which revision of each service runs now: what a rollback goes back to.
declare -A before=()
remember() {
  local name revision
  while read -r name revision; do
    [ -z "$revision" ] || before[$name]=$revision
  done < <(kube get deployments -o jsonpath='{range .items[*]}{.metadata.name} {.metadata.annotations.deployment\.kubernetes\.io/revision}{"\n"}{end}')
}

# roll_back REASON: ends the script.
roll_back() {
  local name now failed=() new=() index
  printf '%s\n' "FAILED: $1" >&2
  step "Back to what ran before"
  for ((index = ${#services[@]} - 1; index >= 0; index--)); do
    name=${services[index]}
    if [ -z "${before[$name]:-}" ]; then
      new+=("$name")
      continue
    fi
    now=$(kube get deployment "$name" -o jsonpath='{.metadata.annotations.deployment\.kubernetes\.io/revision}') || now=
    [ "$now" != "${before[$name]}" ] || continue
    kube rollout undo "deployment/$name" --to-revision="${before[$name]}" || failed+=("$name")
  done
  for name in "${!before[@]}"; do
    [[ " ${services[*]} " == *" $name "* ]] || continue
    kube rollout status "deployment/$name" --timeout="${timeout}s" || failed+=("$name")
  done
  [ ${#new[@]} -eq 0 ] || echo "did not run before, and were left as they are: ${new[*]}" >&2
  [ ${#failed[@]} -eq 0 ] || fail 3 "not back: ${failed[*]}" "reason of the failure: $1"
  fail 1 "what ran before runs; reason: $1"
}

migrate() {
  local job state deadline=$((SECONDS + timeout))
  for job in $(names_of Job); do
    # A Job cannot be changed; one that has run makes way.
    run kube delete job "$job" --ignore-not-found --wait
  done
  apply 3-migration
  ! $dry_run || return 0
  for job in $(names_of Job); do
    while :; do
      state=$(kube get job "$job" -o jsonpath='{range .status.conditions[?(@.status=="True")]}{.type} {end}')
      case $state in
        *Complete*) break ;;
        *Failed*) state=failed ;;
        *) [ "$SECONDS" -ge "$deadline" ] && state="did not end within $timeout s" || state= ;;
      esac
      if [ -n "$state" ]; then
        kube logs "job/$job" --all-containers --tail=20 >&2 || true
        fail 1 "FAILED: the Job $job $state; no service was changed"
      fi
      sleep 2
    done
  done
}

# healthy URL: GET /health has to answer 200 within the timeout; the last answer is in $work/health.
healthy() {
  local deadline=$((SECONDS + timeout)) status
  while :; do
    status=$(curl --silent --show-error --max-time 10 --output "$work/health" --write-out '%{http_code}' "$1/health" \
      2>"$work/curl") || status=000
    [ "$status" != 200 ] || return 0
    [ "$SECONDS" -lt "$deadline" ] || break
    sleep 2
  done
  echo "GET $1/health: $status $(cat "$work/health" "$work/curl" 2>/dev/null | head -c 2000)" >"$work/reason"
  return 1
}

check_health() {
  if $dry_run; then
    echo "  would ask: ${edge:-service/envoy}/health"
    return
  fi
  if [ -n "$edge" ]; then
    healthy "${edge%/}"
  else
    forward service/envoy 8080 2>"$work/reason" || return 1
    healthy "http://$forwarded"
  fi
}

# --- In order --------------------------------------------------------------------------------------------------------

what=${version:-$(awk '{ print $2; exit }' "$pushed")}
if $dry_run; then
  step "Tocsin $what to $overlay, namespace $namespace: a dry run"
else
  step "Tocsin $what to $overlay, namespace $namespace, context ${context:-$(kubectl config current-context)}"
  remember
fi
step "Configuration"
apply 1-configuration
step "Stores"
apply 2-stores
mapfile -t stores < <(names_of StatefulSet)
rolled_out statefulset "${stores[@]}" || {
  explain "$culprit" >&2
  fail 1 "FAILED: $culprit does not stand; no service was changed"
}
step "Migration"
migrate
step "Services"
apply 4-services || roll_back "the services cannot be applied"
rolled_out deployment "${services[@]}" || roll_back "$culprit does not stand:
$(explain "$culprit")"
for name in "${services[@]}"; do
  run kube annotate deployment "$name" --overwrite "kubernetes.io/change-cause=Tocsin $what" >/dev/null
done
step "Autoscaling"
apply 5-scaling || roll_back "the autoscaling cannot be applied"
step "Health"
check_health || roll_back "the edge is not healthy: $(cat "$work/reason")"
$dry_run || echo "done: Tocsin $what runs in $overlay"
