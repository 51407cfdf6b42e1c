"""uWSGI on a Unix socket with its own protocol, and nginx in front of it: one process of 4 threads a core.

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
    ["uwsgi", "--socket", listening, "--master", "--processes", str(options.cores)]
    + ["--threads", "4", "--listen", "4096", "--buffer-size", "65535", "--disable-logging", "--die-on-term"]
    + ["--need-app", "--module", options.application]
)
# Otherwise nginx would respond with 502 until the server listens.
while not os.path.exists(listening):
    if behind.poll() is not None:
        sys.exit(behind.returncode or 1)
    time.sleep(0.01)
os.execvp("nginx", ["nginx", "-e", "stderr", "-c", os.path.join(folder, "nginx.conf")])
