"""What training and serving share: the network, the artifact, and the runtimes that execute it."""

from pathlib import Path

DEFAULT_ARTIFACT = Path(__file__).parent / "artifacts" / "sine.pt"
"""The model that a fresh checkout serves."""
