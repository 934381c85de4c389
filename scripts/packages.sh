#!/usr/bin/env bash
# Installs Python packages, pinned by hash; to be sourced. PYTHON names the interpreter.
#
# uv does the work, in a tenth of pip's time; it is a pinned package itself, in .build/uv. Where it cannot be had, or does
# not reach what pip reaches, pip does it.
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
python=${PYTHON:-python3}
uv=$root/.build/uv/bin/uv

check_python() {
  command -v "$python" >/dev/null 2>&1 || fail "Tocsin needs Python 3.11 or newer; there is no $python. Set PYTHON=..."
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "Tocsin needs Python 3.11 or newer; $python is $("$python" -V 2>&1 | tail -n 1). Set PYTHON=... to another one."
}

# Runs pip: that of the interpreter, else one in an environment of its own. Settings of the user's that speak of where pip
# installs are not for here.
pip() {
  local own=("$python")
  if ! "$python" -m pip --version >/dev/null 2>&1; then
    own=("$root/.build/pip/bin/python")
    "${own[0]}" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$root/.build/pip" >/dev/null || {
      echo "$python has neither pip nor ensurepip. On Debian and Ubuntu: apt install python3-venv. Or set PYTHON=..."
      return 1
    }
  fi
  PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 \
    "${own[0]}" -m pip "$@"
}

# Several targets of make may want it at once.
get_uv() (
  pinned=$root/requirements-uv.lock
  flock 7
  if [ -x "$uv" ] && cmp -s "$pinned" "$root/.build/uv/lock"; then exit; fi
  rm -rf "$root/.build/uv"
  pip install --quiet --no-compile --require-hashes --target "$root/.build/uv" -r "$pinned" || exit
  cp "$pinned" "$root/.build/uv/lock"
) 7>"$root/.build/uv.flock"

# uv does not read pip's configuration, where an index of one's own, its certificate and a proxy may stand.
follow_pip() {
  local name value
  while IFS='=' read -r name value; do
    value=${value#\'} value=${value%\'} value=${value//\\n/ }
    case ${name##*.} in
      index-url) export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$value}" ;;
      extra-index-url) export UV_INDEX="${UV_INDEX:-$value}" UV_INDEX_STRATEGY=unsafe-best-match ;;
      trusted-host) export UV_INSECURE_HOST="${UV_INSECURE_HOST:-$value}" ;;
      cert) export SSL_CERT_FILE="${SSL_CERT_FILE:-$value}" ;;
      proxy) export HTTPS_PROXY="${HTTPS_PROXY:-$value}" ;;
    esac
  done < <(pip config list 2>/dev/null)
}

# install_packages INTERPRETER OPTIONS: as `pip install OPTIONS`, into the environment of the interpreter.
install_packages() {
  local into=$1
  shift
  # Where Python is told to keep no bytecode, each process would compile its packages anew, for more than a second.
  [ -z "${PYTHONDONTWRITEBYTECODE:-}" ] || export UV_COMPILE_BYTECODE=1
  if get_uv; then
    follow_pip
    "$uv" pip install --python "$into" "$@" && return
    echo "uv could not; pip tries"
  fi
  pip --python "$into" install "$@"
}
