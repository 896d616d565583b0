"""The network, its artifact, and the runtimes that execute it. Training and serving share this package."""

from pathlib import Path

DEFAULT_ARTIFACT = Path(__file__).parent / "artifacts" / "sine.pt"
"""A fresh checkout serves the artifact at this path."""
