"""Tests of addresses and keys: what is accepted, and that no error shows a secret."""

import logging
import traceback
from collections.abc import Callable
from functools import partial

import httpx
import pytest

from sine_client import AsyncClient, Client
from sine_client.address import clean_key, service_url

CLIENTS = [Client, AsyncClient]
SECRET = "s3cret"  # noqa: S105 - no real one


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("localhost", "http://localhost"),
        (" http://127.0.0.1:8000/\n", "http://127.0.0.1:8000/"),
        ("HTTPS://Example.org", "https://example.org"),
        ("example.org/behind/a/prefix/", "http://example.org/behind/a/prefix/"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("http://[::1]", "http://[::1]"),
    ],
)
def test_an_address_has_a_host_and_whatever_else_it_needs(address: str, url: str) -> None:
    assert service_url(address, "It") == url


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ftp://host", "does not begin with http:// or https://"),
        ("http:host", "does not begin with http:// or https://"),
        ("file:///etc/hosts", "does not begin with http:// or https://"),
        ("", "has no valid host"),
        ("http://", "has no valid host"),
        (":8000", "has no valid host"),
        ("8000", "has no valid host"),
        ("http:///path", "has no valid host"),
        ("http://a..b", "has no valid host"),
        (f"http://{'a' * 64}", "has no valid host"),
        ("http://1.2.3.999", "has no valid host"),
        ("http://two hosts", "has no valid host"),
        ("host\nname", "has no valid host"),
        ("::1", "IPv6 address in brackets"),
        ("host:port", "a port that is not a number from 1 to 65535"),
        ("host:0", "a port that is not a number from 1 to 65535"),
        ("host:65536", "a port that is not a number from 1 to 65535"),
        ("host:8_0", "a port that is not a number from 1 to 65535"),
        ("host:\uff18\uff10", "a port that is not a number from 1 to 65535"),
        ("host?token=x", "a query or a fragment"),
        ("host#part", "a query or a fragment"),
        (None, "is not text"),
        (b"host", "is not text"),
    ],
)
@pytest.mark.parametrize("client", CLIENTS)
def test_another_address_is_refused_in_one_line(client: Callable[[object], object], address: object, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        client(address)
    assert str(refused.value).startswith("the service's address ")
    assert "\n" not in str(refused.value)


def test_a_client_of_the_other_kind_or_without_an_address_is_refused() -> None:
    with pytest.raises(ValueError, match="httpx client of the same kind"):
        Client(httpx.AsyncClient(base_url="http://host"))  # type: ignore[arg-type]
    with httpx.Client() as http, pytest.raises(ValueError, match=r"base_url of the httpx\.Client has no valid host"):
        Client(http)


def everything_in(error: BaseException | None) -> str:
    """Return the error with all errors that it came from, as text."""
    if error is None:
        return ""
    shown = "".join(traceback.format_exception_only(error)) + repr(error)
    return shown + everything_in(error.__cause__) + everything_in(error.__context__)


@pytest.mark.parametrize(
    "address",
    [
        f"http://alice:{SECRET}@127.0.0.1:9",
        f"alice:{SECRET}@127.0.0.1:9",
        f"http://{SECRET}@host",
        f"http://alice:{SECRET}/x@host",
        f"http://alice:{SECRET}#x@host",
        f"http://alice:{SECRET}\x00@host",
        f"ftp://alice:{SECRET}@host",
        f"http://host:{SECRET}",
        f"http://host?key={SECRET}",
        f"{SECRET}://host",
        f"http://{SECRET} {SECRET}",
    ],
)
@pytest.mark.parametrize("client", CLIENTS)
def test_no_error_shows_what_may_be_secret_in_an_address(client: Callable[[str], object], address: str) -> None:
    with pytest.raises(ValueError, match="the service's address") as refused:
        client(address)
    assert SECRET not in everything_in(refused.value)


def test_the_address_of_an_httpx_client_has_no_password_either() -> None:
    with (
        httpx.Client(base_url=f"http://alice:{SECRET}@host") as http,
        pytest.raises(ValueError, match="contains a user name or a password") as refused,
    ):
        Client(http)
    assert SECRET not in everything_in(refused.value)


@pytest.mark.parametrize("key", [f"{SECRET}\n", f"\r\n {SECRET}\t", SECRET])
def test_a_key_is_stripped(key: str) -> None:
    assert clean_key(key, "It") == SECRET


@pytest.mark.parametrize("key", [None, "", " \n"])
def test_a_blank_key_is_none(key: str | None) -> None:
    assert clean_key(key, "It") is None


BAD_KEYS = [
    f"{SECRET}\nx",
    f"Bearer {SECRET}",
    f"{SECRET}\x00",
    f"\ufeff{SECRET}",
    f"{SECRET}\u00e9",
    f"{SECRET}\udcff",
]


@pytest.mark.parametrize("key", [*BAD_KEYS, SECRET.encode(), [SECRET], True], ids=ascii)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(client: type[Client], key: str) -> None:
    with pytest.raises(ValueError, match=r"^api_key is not ") as refused:
        client(api_key=key)
    assert SECRET not in everything_in(refused.value)
    assert "\n" not in str(refused.value)


def test_neither_logs_nor_errors_nor_clients_show_the_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ask = partial(Client, "http://127.0.0.1:9", api_key=SECRET, patience_s=1.0)
    with ask() as client, pytest.raises(httpx.ConnectError) as failed:
        client.predict([1.0])
    assert "trying again" in caplog.text
    assert SECRET not in everything_in(failed.value) + caplog.text + repr(client)
