#!/usr/bin/env bash
# Builds Tocsin's images and pushes them.
#
#   build-and-push.sh --registry registry.example/team
#   build-and-push.sh --no-push
#
#   --registry NAME    what stands before the images' names (also TOCSIN_REGISTRY); log in to it before
#   --no-push          build only; without a registry the images keep their bare names
#   --version TEXT     the tag, instead of the one that git gives
#   --engine NAME      docker or buildah; by default the first of them that is installed
#   --allow-dirty      build what is not committed, too; the version says so
#   --output FILE      write what was pushed, a line for each image: its name, tag and digest; deploy.sh takes it
#   --print-version    print the tag, and end
#   --dry-run          show what would be run
#
# The tag is the version of the git tag on this commit (v1.2.3 becomes 1.2.3; pyproject.toml has to say the same). Without
# one it is the version in pyproject.toml with the commit's time and id: 1.3.0.dev0-20270131T120000-0123456789ab.
#
# deploy/docker/images.sh builds; the variables that name its base images are heeded here, too.
#
# Exit code: 0 done; 1 it failed; 2 wrong usage or a tree that is not to be built.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

images=(tocsin tocsin-gateway)
registry=${TOCSIN_REGISTRY:-} version='' engine='' output='' to_push=true allow_dirty=false print_version=false
while [ $# -gt 0 ]; do
  case $1 in
    --registry) registry=$(option "$@"); shift ;;
    --version) version=$(option "$@"); shift ;;
    --engine) engine=$(option "$@"); shift ;;
    --output) output=$(option "$@"); shift ;;
    --no-push) to_push=false ;;
    --allow-dirty) allow_dirty=true ;;
    --print-version) print_version=true ;;
    --dry-run) dry_run=true ;;
    -h | --help) show_help && exit ;;
    *) wrong "unknown option: $1" ;;
  esac
  shift
done

cd "$root"
need git
dirty=$(git status --porcelain)
[ -z "$dirty" ] || $allow_dirty ||
  fail 2 "there are changes that are not committed; commit them, or say --allow-dirty:" "$dirty"

project_version() { sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml; }

# The version of this tree, as the help tells.
git_version() {
  local project tag
  project=$(project_version)
  tag=$(git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null || true)
  if [ -n "$dirty" ]; then
    printf '%s-%s-%s-dirty' "$project" "$(date -u +%Y%m%dT%H%M%S)" "$(git rev-parse --short=12 HEAD)"
  elif [ -n "$tag" ]; then
    [ "${tag#v}" = "$project" ] || fail 2 "the tag is $tag, and pyproject.toml says $project"
    printf '%s' "$project"
  else
    printf '%s-%s' "$project" \
      "$(TZ=UTC git log -1 --date='format-local:%Y%m%dT%H%M%S' --abbrev=12 --format='%cd-%h')"
  fi
}

[ -n "$version" ] || version=$(git_version)
[[ $version =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] || fail 2 "an image cannot have the tag '$version'"
if $print_version; then
  echo "$version"
  exit
fi
! $to_push || [ -n "$registry" ] || wrong "--registry says where to push to; --no-push builds only"
$to_push || [ -z "$output" ] || wrong "--output tells what was pushed, and --no-push pushes nothing"

if [ -z "$engine" ]; then
  for candidate in docker buildah; do
    if command -v "$candidate" >/dev/null 2>&1; then
      engine=$candidate
      break
    fi
  done
  [ -n "$engine" ] || fail 2 "neither docker nor buildah is on PATH"
fi
case $engine in
  docker | buildah) need "$engine" ;;
  *) wrong "unknown engine: $engine (docker or buildah)" ;;
esac

# push NAME TAG: prints the digest under which the registry has it.
push() {
  case $engine in
    docker)
      docker push "$1:$2" >&2
      docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$1:$2" |
        awk -F @ -v name="$1" '$1 == name { print $2; exit }'
      ;;
    buildah)
      buildah push --digestfile "$work/digest" "$1:$2" >&2
      cat "$work/digest"
      ;;
  esac
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
step "Version $version"
run make --no-print-directory gateway
run env ENGINE="$engine" deploy/docker/images.sh "$version"
pushed=()
if $to_push; then
  for name in "${images[@]}"; do
    step "$registry/$name:$version"
    run "$engine" tag "$name:$version" "$registry/$name:$version"
    if $dry_run; then
      run "$engine" push "$registry/$name:$version"
    else
      digest=$(push "$registry/$name" "$version")
      [[ $digest == sha256:* ]] || fail 1 "$engine does not tell the digest of $registry/$name:$version"
      pushed+=("$registry/$name $version $digest")
    fi
  done
fi
if [ -n "$output" ] && ! $dry_run; then
  printf '%s\n' "${pushed[@]}" >"$output"
fi
echo "done: version $version"
