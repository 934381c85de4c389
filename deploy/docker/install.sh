#!/bin/sh
# install.sh ENVIRONMENT LOCK: a virtual environment with the packages of a lock, pinned by hash: from the folder `wheels`
# beside this file where that has any (make wheels), and without a network then; else from the package index.
set -eu
environment=$1 lock=$2 wheels=$(dirname "$0")/wheels
python3 -m venv --without-pip "$environment"
set -- --require-hashes --no-compile --no-cache-dir --disable-pip-version-check -r "$lock"
for wheel in "$wheels"/*.whl; do
  [ ! -e "$wheel" ] || set -- --no-index --find-links "$wheels" "$@"
  break
done
python3 -m pip --python "$environment/bin/python" install "$@"
