"""A client for the shared server."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.server import Server


@pytest.fixture(scope="module")
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        yield client
