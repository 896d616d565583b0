"""Runs an ASGI peer on uvicorn with one worker for each core, as uvicorn's own page on deployment advises."""

from __future__ import annotations

import os
import sys

import uvicorn


def serve(factory: str) -> None:
    """Serve `module:function` on 127.0.0.1, on the port that is the command's only argument.

    uvloop and httptools are the fast choices of `uvicorn[standard]`. The access log is off, because no other peer has
    to write one. `BENCH_WORKERS` is the number of processes.
    """
    uvicorn.run(
        factory,
        factory=True,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        workers=int(os.environ["BENCH_WORKERS"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        proxy_headers=False,
        log_level="warning",
    )
