"""The image of Compose's proxy, built from Debian's nginx if no registry can be reached."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

from tests.container.engine import docker, works
from tests.server import ROOT

_BASE = "python:3.11-slim-bookworm"
"""A Debian image that is already there: the base of the service's own."""


def provide() -> None:
    """Provide the image that docker-compose.yml names: a local one, the registry's, or one with Debian's package.

    Raises:
        CalledProcessError: none of the three is available.
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
