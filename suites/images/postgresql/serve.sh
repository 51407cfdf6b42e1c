# PostgreSQL with its own settings but for where it listens and how many may connect. Its files are copied into memory: the image is
# read-only, and no disk is to stand in the figures.
set -e
cp -a /opt/database /tmp/database
exec postgres -D /tmp/database -c listen_addresses='*' -c unix_socket_directories=/tmp -c max_connections=400
