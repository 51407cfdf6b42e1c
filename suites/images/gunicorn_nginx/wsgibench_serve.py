"""Gunicorn's sync workers on a Unix socket, and nginx in front of them, as Gunicorn's documentation deploys it.

    python -m wsgibench_serve --cores 2 application:application

nginx takes this process's place, so that no third program is in the accounts.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("application", help="module:callable")
parser.add_argument("--cores", type=int, default=1)
parser.add_argument("--port", type=int, default=8000)
options = parser.parse_args()

folder = tempfile.mkdtemp()
listening = os.path.join(folder, "application.sock")
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "nginx.conf")) as template:
    settings = template.read()
for word, value in {"workers": options.cores, "port": options.port, "folder": folder}.items():
    settings = settings.replace("{%s}" % word, str(value))
with open(os.path.join(folder, "nginx.conf"), "w") as written:
    written.write(settings)

behind = subprocess.Popen(
    ["gunicorn", "--worker-class", "sync", "--workers", str(2 * options.cores + 1)]
    + ["--bind", f"unix:{listening}", "--backlog", "4096"]
    + ["--no-control-socket", "--worker-tmp-dir", "/dev/shm", options.application]
)
# Otherwise nginx would respond with 502 until the server listens.
while not os.path.exists(listening):
    if behind.poll() is not None:
        sys.exit(behind.returncode or 1)
    time.sleep(0.01)
os.execvp("nginx", ["nginx", "-e", "stderr", "-c", os.path.join(folder, "nginx.conf")])
