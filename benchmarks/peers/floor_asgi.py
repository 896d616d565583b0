"""Floor: raw ASGI that validates as the service does and then answers a constant.

No server in Python that checks its input can be faster on the same machine. The constant has 18 characters, as a
float32 widened to a double usually has in JSON.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from benchmarks.peers.asgi import serve
from benchmarks.peers.schemas import GenerateRequest, PredictRequest

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_VALUE = b"0.5430264472961426"
_PREDICTION = b'{"prediction":' + _VALUE + b"}"
_PREDICT = TypeAdapter(PredictRequest)
_GENERATE = TypeAdapter(GenerateRequest)


@lru_cache(maxsize=16)
def generated(steps: int) -> bytes:
    """Return the constant answer to /generate, built once for each number of steps.

    `BENCH_GENERATE_BYTES` is the required length, if it is known. Values are cut to fewer digits, and spaces fill the
    rest.
    """
    size = int(os.environ.get("BENCH_GENERATE_BYTES", "0"))
    head, tail = b'{"values":[', b'],"finish_reason":"length"}'
    digits = max(3, (size - len(head) - len(tail)) // steps - 1) if size else len(_VALUE)
    values = b",".join([_VALUE[:digits]] * steps)
    return head + values + b" " * (size - len(head) - len(values) - len(tail)) + tail


def create_app() -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    return app


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    status, answer = 200, b"{}"
    if scope["method"] == "POST":
        body = b""
        while True:
            message = await receive()
            body = body + message["body"] if body else message["body"]
            if not message.get("more_body"):
                break
        try:
            if scope["path"] == "/predict":
                _PREDICT.validate_json(body)
                answer = _PREDICTION
            else:
                answer = generated(_GENERATE.validate_json(body).steps)
        except ValidationError:
            status = 422
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))],
        }
    )
    await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    serve("benchmarks.peers.floor_asgi:create_app")
