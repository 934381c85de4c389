# A cluster at the first start, as the user that the pod has.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --username=tocsin --pwfile=/run/secrets/tocsin/password --encoding=UTF8 --auth=scram-sha-256
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  echo 'CREATE DATABASE tocsin' | postgres --single -D "$PGDATA" postgres >/dev/null
fi
exec postgres -c listen_addresses='*' -c unix_socket_directories=/tmp -c max_connections=300 -c shared_buffers=64MB
