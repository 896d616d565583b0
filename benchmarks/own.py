"""This project's own server, as one more entry beside the peers: `python -m app` from the project's environment."""

from __future__ import annotations

from benchmarks.peers.dialects import read_prediction
from benchmarks.peers.registry import GENERATE, PREDICT, Peer


def own(name: str = "ours", module: str = "app", **settings: object) -> Peer:
    """The server as users start it, with all defaults but for `settings`, which become SINE_* variables.

    `module` is what python runs.

    Its metrics and its access log are on, as they always are; its peers' are off where they can be.
    """
    return Peer(
        name=name,
        requirements=None,
        distribution="sine-rnn-server",
        command=("-m", module, "--port", "{port}", "--model", "{model}"),
        environment={f"SINE_{key.upper()}": str(value) for key, value in settings.items()},
        ready_path="/readyz",
        predict=PREDICT,
        generate=GENERATE,
        read_prediction=read_prediction,
    )
