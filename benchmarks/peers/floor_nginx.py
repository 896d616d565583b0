"""Floor: nginx with two workers that answers a constant without reading the request. No server in Python is faster.

It is the limit of HTTP on this machine. The answer has the size of this server's, with as many header fields.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_CONFIGURATION = """
daemon off;
worker_processes {workers};
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    default_type application/json;
    server {{
        listen 127.0.0.1:{port} reuseport;
        location = /predict {{
            add_header x-content-type-options nosniff;
            add_header x-model-version 1+0123456789ab;
            add_header x-request-id $request_id;
            return 200 '{{"prediction":0.5430264472961426}}';
        }}
        location = /version {{ return 200 '{{"version":"nginx $nginx_version"}}'; }}
    }}
}}
"""


def main() -> None:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        sys.exit("nginx is not installed (Debian's package has the same name)")
    folder = Path(tempfile.mkdtemp(prefix="nginx-"))
    for each in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
        (folder / each).mkdir()
    configuration = folder / "nginx.conf"
    workers = os.environ["BENCH_WORKERS"]
    configuration.write_text(_CONFIGURATION.format(workers=workers, folder=folder, port=sys.argv[1]))
    subprocess.run([program, "-t", "-q", "-p", str(folder), "-c", str(configuration)], check=True)  # noqa: S603
    os.execv(program, [program, "-p", str(folder), "-c", str(configuration)])  # noqa: S606


if __name__ == "__main__":
    main()
