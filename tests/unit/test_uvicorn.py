"""The source of uvicorn that `app/server/` subclasses, or stands in for, is the source that it was written for."""

import hashlib
import inspect
from collections.abc import Callable

import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

DIGESTS: dict[Callable[..., object], str] = {
    HttpToolsProtocol: "18fdf324b11bf160e38739eed01a48516b460be9e88f1e20e4546e7363fd9232",
    RequestResponseCycle: "e67d470d435dcc1ce6de9773841524a4439a06afd3a7243e458dc7f7c952b310",
    FlowControl: "126debcdaa894c83ed9491b41cb3b99c97469f00520f2483d2a5d1f53de91fa4",
    WebSocketsSansIOProtocol: "0bbcec98938432f71b93ca20eea63487298f4650159242db8526a6f664902997",
    uvicorn.Server: "06e799f7c58f8be6e5de889f21bd2270c12d51852058fff898fa669510d81dc1",
}


@pytest.mark.parametrize("kind", DIGESTS, ids=lambda kind: kind.__name__)
def test_what_is_subclassed_is_as_it_was(kind: Callable[..., object]) -> None:
    digest = hashlib.sha256(inspect.getsource(kind).encode()).hexdigest()
    assert digest == DIGESTS[kind], (
        f"uvicorn {uvicorn.__version__} has another {kind.__name__} than app/server/ was written for: "
        "read their diff, then change this number"
    )
