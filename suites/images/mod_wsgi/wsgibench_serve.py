"""mod_wsgi by its own `mod_wsgi-express`: all options are that command's, but `--tuned`, which adds tuned.conf.

    python -m wsgibench_serve --tuned --port 8000 --processes 2 --threads 4 /app/application.py

`mod_wsgi-express start-server` runs a script that it wrote into its server root, which fails where /tmp is mounted
noexec (as containers do). So the root is set up first, and the script is then read by a shell.
"""

import os
import subprocess
import sys
import tempfile

options = sys.argv[1:]
if "--tuned" in options:
    options.remove("--tuned")
    options += ["--include-file", os.path.join(os.path.dirname(os.path.abspath(__file__)), "tuned.conf")]

root = os.path.join(tempfile.mkdtemp(), "server")
subprocess.run(["mod_wsgi-express", "setup-server", "--server-root", root, *options], check=True)
os.execvp("bash", ["bash", os.path.join(root, "apachectl"), "start", "-DFOREGROUND"])
