#!/bin/sh
# The name of a service runs it; anything else is a command. Either takes this process' place, and so gets its signals.
set -eu
case ${1:-} in
  ingestion | aggregation | notification) exec python -m "services.$1" ;;
  media-probe) exec python -m services.media_probe ;;
  *) exec "$@" ;;
esac
