"""Hypercorn's settings that no option of its command sets: `hypercorn --config python:wsgibench_config`."""

# It answers 400 to a WSGI request whose body is larger; 16 MiB when not said.
wsgi_max_body_size = 1024 * 1024 * 1024

# It closes a connection after 1,000 requests when not said.
keep_alive_max_requests = 1 << 40
