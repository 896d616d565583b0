"""The image that Compose's proxy runs, made from Debian's nginx where no registry can be asked for it."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

from tests.container.engine import docker, works
from tests.server import ROOT

_BASE = "python:3.11-slim-bookworm"
"""A Debian that is there: the service's own base."""


def provide() -> None:
    """Have the image that docker-compose.yml names: one that is there, the registry's, or one of Debian's package.

    Raises:
        CalledProcessError: none of them can be had.
    """
    found = re.search(r"image: (nginx:\S+)", (ROOT / "docker-compose.yml").read_text())
    assert found is not None
    if works("docker", "image", "inspect", found[1]) or works("docker", "pull", "--quiet", found[1]):
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # apt downloads as a user of its own
        subprocess.run(["apt-get", "update", "-qq"], check=True, capture_output=True)
        subprocess.run(["apt-get", "download", "nginx"], cwd=folder, check=True, capture_output=True)
        (package,) = folder.glob("nginx_*.deb")
        subprocess.run(["dpkg-deb", "--extract", package, folder / "files"], check=True)
        (folder / "Dockerfile").write_text(f"FROM {_BASE}\nCOPY files/usr/sbin/nginx /usr/sbin/nginx\n")
        docker("build", "--quiet", "--tag", found[1], os.fspath(folder))
