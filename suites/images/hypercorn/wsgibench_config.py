"""Hypercorn's settings that no option of its command sets: `hypercorn --config python:wsgibench_config`."""

# Hypercorn responds with 400 to a WSGI request whose body is larger; the default is 16 MiB.
wsgi_max_body_size = 1024 * 1024 * 1024

# Hypercorn closes a connection after 1,000 requests by default.
keep_alive_max_requests = 1 << 40
