"""Tests of requests without a valid key among others with one: none of the first is answered, all of the second are."""

import asyncio
import random
from pathlib import Path

import httpx
import pytest

from app.keys import line, new_key
from tests.artifacts import make_small_artifact
from tests.reliability.results import Result, Results
from tests.server import serve

pytestmark = pytest.mark.anyio

CONNECTIONS = 16
BODY = b'{"sequence": [1, 2, 3], "steps": 5}'
INFER = b'{"inputs": [{"name": "sequence", "shape": [1, 3], "datatype": "FP64", "data": [1, 2, 3]}]}'
PATHS = {"/predict": BODY.replace(b', "steps": 5', b""), "/generate": BODY, "/generate/stream": BODY}
PATHS |= {"/v2/models/small/infer": INFER, "/admin/reload": b"", "/metrics": b""}


def without_a_right_key(key: str, draw: random.Random) -> list[tuple[str, str]]:
    """Return headers that are nearly right."""
    at = draw.randrange(len(key))
    other = draw.choice([letter for letter in "AZaz09-_" if letter != key[at]])
    shown = [
        [],
        [new_key()],
        [key[:at]],
        [f"{key}{other}"],
        [f"{key[:at]}{other}{key[at + 1 :]}"],
        [key.swapcase()],
        [key, key],
    ]
    return [("authorization", f"Bearer {each}".strip()) for each in draw.choice(shown)]


async def test_no_request_without_a_right_key_is_answered(tmp_path: Path, full: bool, results: Results) -> None:
    key, keys = new_key(), tmp_path / "keys"
    keys.write_text(line("alice", key))
    draw = random.Random(0)  # noqa: S311 - which request is wrong in which way is no secret
    tries = 20_000 if full else 160
    wrong = []

    async def ask(client: httpx.AsyncClient) -> None:
        for _ in range(tries // CONNECTIONS):
            path = draw.choice([*PATHS])
            refused = await client.post(path, content=PATHS[path], headers=without_a_right_key(key, draw))
            if refused.status_code != 401 or b"prediction" in refused.content or b"values" in refused.content:
                wrong.append((path, refused.status_code))
            answer = await client.post(
                "/predict", content=PATHS["/predict"], headers={"authorization": f"Bearer {key}"}
            )
            if answer.status_code != 200:
                wrong.append(("/predict", answer.status_code))

    with serve(tmp_path, model=make_small_artifact(tmp_path), workers=2, api_keys=keys) as server:
        async with (
            httpx.AsyncClient(base_url=server.url, headers={"content-type": "application/json"}, timeout=30) as client,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(CONNECTIONS):
                group.create_task(ask(client))
    rounds = tries // CONNECTIONS * CONNECTIONS
    answered = 2 * rounds - len(wrong)
    results.add(Result("requests without a valid key", rounds, 2 * rounds, answered, len(wrong), 0))
    assert wrong == []
