"""Tests of the listening socket, of the address that a person opens, and of the error of a start that fails."""

import asyncio
import errno
import socket

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from app.server.startup import CannotStart, address_to_open, bind, cannot_listen
from app.server.workers import Server


@pytest.mark.parametrize(
    ("host", "opened"),
    [
        ("127.0.0.1", "http://127.0.0.1:"),
        ("localhost", "http://127.0.0.1:"),
        ("0.0.0.0", "http://127.0.0.1:"),  # noqa: S104 - nothing listens
        ("::", "http://127.0.0.1:"),
        ("::1", "http://[::1]:"),
    ],
)
def test_the_address_to_open_is_one_of_this_machine(host: str, opened: str) -> None:
    with bind(host, 0) as listener:
        port = listener.getsockname()[1]
        assert address_to_open(listener) == f"{opened}{port}/"
        listener.listen()
        address = "::1" if "[" in opened else "127.0.0.1"
        socket.create_connection((address, port)).close()


def test_a_socket_of_ipv6_alone_is_opened_by_an_address_of_ipv6() -> None:
    with socket.socket(socket.AF_INET6) as listener:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(("::", 0))
        assert address_to_open(listener) == f"http://[::1]:{listener.getsockname()[1]}/"


@pytest.mark.parametrize(
    ("number", "hint"),
    [(errno.EADDRINUSE, "SINE_PORT"), (errno.EACCES, "SINE_PORT"), (errno.EADDRNOTAVAIL, "SINE_HOST")],
)
def test_an_address_that_cannot_be_used_is_named_with_what_to_do(number: int, hint: str) -> None:
    message = str(cannot_listen("::1", 80, OSError(number, "reason")))
    assert message.startswith("cannot listen on [::1]:80: reason: ")
    assert hint in message


def test_an_error_becomes_one_line_with_its_notes() -> None:
    error = RuntimeError("the reason\nException raised from a.cpp\n  frame #0")
    error.add_note("while loading x.pt")
    assert str(CannotStart.because(error, "RuntimeError: ")) == "RuntimeError: the reason (while loading x.pt)"


async def answer_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


def test_a_port_that_another_program_takes_during_the_start_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with bind("127.0.0.1", 0) as other:
        port = other.getsockname()[1]
        with bind("127.0.0.1", port) as ours:  # both may bind the address until one of them listens
            other.listen()
            config = uvicorn.Config(answer_nothing, port=port, log_level="error")
            with pytest.raises(CannotStart, match=f"cannot listen on 127.0.0.1:{port}: .*SINE_PORT"):
                asyncio.run(Server(config, ours).serve())
    assert capfd.readouterr().err == ""
