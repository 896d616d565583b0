"""Tests of the metrics that the middleware counts, around an application of a few lines."""

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from app.errors import NotReady
from app.problems import problem_response
from app.telemetry.context import count_work, current
from app.telemetry.metrics import Metrics
from app.telemetry.middleware import Recorder, RecordingMiddleware
from tests.metrics import total

pytestmark = pytest.mark.anyio

TEMPLATE = "/v2/models/{model}/infer"


async def asked(path: str, app: Any, **scope: object) -> tuple[str, list[dict[str, Any]]]:
    """Send a request to `app`. Return the metrics after it, and the messages that the application sent."""
    metrics = Metrics([TEMPLATE, "/predict"])
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.receive", "text": "1"}

    request = {"type": "http", "method": "POST", "path": path, "headers": [], **scope}
    await RecordingMiddleware(app, Recorder(metrics, None))(request, receive, send)
    await asyncio.sleep(0)  # the middleware counts at the end of the turn
    return metrics.expose().decode(), sent


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await problem_response(NotReady("Starting."))(scope, receive, send)


async def talk(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.accept"})
    for _ in range(3):
        await receive()
        text = bytes(problem_response(NotReady("Starting.")).body).decode()
        await send({"type": "websocket.send", "text": text})


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/predict", "/predict"),
        ("/v2/models/sine/infer", TEMPLATE),
        ("/v2/models/anything%20else/infer", TEMPLATE),
        ("/v2/models/a/b/infer", "other"),
        ("/v2/models/sine/infer/", "other"),
        ("/predict/", "other"),
        ("other", "other"),
    ],
)
async def test_a_route_is_counted_by_its_template(path: str, route: str) -> None:
    text, _ = await asked(path, answer)
    assert total(text, "sine_requests_total") == total(text, "sine_requests_total", route=route, status="200") == 1
    assert total(text, "sine_request_duration_seconds_count", route=route) == 1


async def test_a_refusal_is_counted_by_its_reason() -> None:
    text, _ = await asked("/predict", refuse)
    assert total(text, "sine_requests_total", route="/predict", status="503") == 1
    assert total(text, "sine_refusals_total") == total(text, "sine_refusals_total", reason="not_ready") == 1


async def test_messages_and_each_refusal_of_a_connection_are_counted_and_its_life_is_no_latency() -> None:
    text, sent = await asked("/predict", talk, type="websocket", headers=[(b"x-request-id", b"mine")])
    assert (b"x-request-id", b"mine") in sent[0]["headers"]
    assert total(text, "sine_requests_total", status="101") == 1
    assert total(text, "sine_request_duration_seconds_count") == 0
    assert total(text, "sine_websocket_messages_total", direction="received") == 3
    assert total(text, "sine_websocket_messages_total", direction="sent") == 3
    assert total(text, "sine_refusals_total", reason="not_ready") == 3
    assert total(text, "sine_websockets") == 0


async def test_a_request_that_dies_is_a_500() -> None:
    metrics = Metrics(["/predict"])

    async def die(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError

    async def nothing(*_: Any) -> Any:
        pass

    with pytest.raises(ValueError):  # noqa: PT011 - it has no message
        await RecordingMiddleware(die, Recorder(metrics, None))(
            {"type": "http", "method": "POST", "path": "/predict", "headers": []}, nothing, nothing
        )
    await asyncio.sleep(0)
    assert total(metrics.expose().decode(), "sine_requests_total", status="500") == 1


async def test_tasks_of_a_request_find_its_context() -> None:
    found = []

    async def work(scope: Scope, receive: Receive, send: Send) -> None:
        async def later() -> None:
            count_work(5)
            found.append(current())

        await asyncio.create_task(later())
        count_work(2)
        found.append(current())
        await answer(scope, receive, send)

    _, sent = await asked("/predict", work)
    assert found[0] is found[1]
    assert found[0] is not None
    assert found[0].work == 7
    assert sent[0]["headers"] == [(b"x-request-id", found[0].id)]
