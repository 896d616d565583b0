"""This project's own server as one more entry beside the peers: `python -m app` from the project's environment."""

from __future__ import annotations

from benchmarks.peers.dialects import read_prediction
from benchmarks.peers.registry import GENERATE, PREDICT, Peer


def own(name: str = "ours", module: str = "app", **settings: object) -> Peer:
    """Return the server as users start it: all settings have their defaults, except `settings`, which become SINE_*
    variables.

    `module` is the module that python runs. The metrics and the access log are on, as they always are. The peers' are
    off where possible.
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
