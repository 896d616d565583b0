"""The virtual environments of the peers: one for each requirements file, kept in `.venv-peers/`."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.peers.registry import Peer
from benchmarks.report import ROOT


def environment(peer: Peer) -> Path:
    """Return the python of the peer's environment.

    The environment is created if it is missing or its requirements have changed. Raises subprocess.CalledProcessError
    if it cannot be created.
    """
    if peer.requirements is None:
        return Path(sys.executable)
    folder = ROOT / ".venv-peers" / peer.requirements
    requirements = Path(__file__).with_name(f"requirements-{peer.requirements}.txt")
    python, done = folder / "bin" / "python", folder / "installed.txt"
    if done.exists() and done.read_text() == requirements.read_text():
        return python
    print(f"{folder.relative_to(ROOT)}: installing", file=sys.stderr, flush=True)
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)  # noqa: S603
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements)], check=True)  # noqa: S603
    done.write_text(requirements.read_text())
    print(f"{folder.relative_to(ROOT)}: installed in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return python
