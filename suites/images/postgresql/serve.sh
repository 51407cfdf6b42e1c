# PostgreSQL with its default settings except for the address and the number of connections. Its files are copied into memory: the image is
# read-only, and disk access must not affect the results.
set -e
cp -a /opt/database /tmp/database
# Statements are counted in counted launches only: counting them costs time.
[ -z "$WSGIBENCH_COUNTED" ] || set -- -c shared_preload_libraries=pg_stat_statements
exec postgres -D /tmp/database -c listen_addresses='*' -c unix_socket_directories=/tmp -c max_connections=400 "$@"
