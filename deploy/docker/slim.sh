#!/bin/sh
# slim.sh ENVIRONMENT: takes out what nobody runs (tests of libraries, sources of compiled modules, their debug symbols),
# and compiles the rest once, since a container cannot keep what it compiles.
set -eu
packages=$(echo "$1"/lib/python3*/site-packages)
find "$packages" -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
find "$packages" -type f \( -name '*.c' -o -name '*.cpp' -o -name '*.h' -o -name '*.hpp' -o -name '*.pyx' -o -name '*.pxd' \
  -o -name '*.pxi' -o -name '*.pyi' -o -name '*.a' \) -delete
# Not those in *.libs: they were made to be found where they are, and stripping breaks that.
find "$packages" -path '*.libs' -prune -o -type f -name '*.so' -exec strip --strip-unneeded {} + 
"$1/bin/python" -m compileall -q "$packages"
