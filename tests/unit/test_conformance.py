"""Violations of HTTP in the head of a request: each is named, and what HTTP allows is not."""

import pytest

from app.server.conformance import violation

HOST = (b"host", b"example.org:8000")


@pytest.mark.parametrize("host", [b"x", b"", b"[::1]:8000", b"a-b.example.org", b"%41.org"])
def test_a_request_with_one_host_is_allowed(host: bytes) -> None:
    assert violation([(b"accept", b"*/*"), (b"host", host)], lambda: "1.1", upgrade=False, answering=True) == ""


def test_http_1_0_needs_no_host() -> None:
    assert violation([], lambda: "1.0", upgrade=False, answering=False) == ""


@pytest.mark.parametrize(("hosts", "version"), [(0, "1.1"), (2, "1.1"), (2, "1.0")])
def test_another_number_of_hosts_is_a_violation(hosts: int, version: str) -> None:
    assert (
        violation([HOST] * hosts, lambda: version, upgrade=False, answering=False) == "A request has one header Host."
    )


@pytest.mark.parametrize("host", [b"a b", b"a/b", b"user@host", b"a\x00", b"a\tb", b"h\xc3\xb6st"])
def test_a_host_that_is_no_name_or_address_is_a_violation(host: bytes) -> None:
    assert "a name or an address" in violation([(b"host", host)], lambda: "1.1", upgrade=False, answering=False)


def test_an_upgrade_is_allowed_on_an_idle_connection_without_a_body() -> None:
    assert violation([HOST], lambda: "1.1", upgrade=True, answering=False) == ""


def test_an_upgrade_behind_an_answer_that_is_not_complete_is_a_violation() -> None:
    assert "no answers to wait for" in violation([HOST], lambda: "1.1", upgrade=True, answering=True)


@pytest.mark.parametrize("body", [(b"content-length", b"0"), (b"transfer-encoding", b"chunked")])
def test_an_upgrade_with_a_body_is_a_violation(body: tuple[bytes, bytes]) -> None:
    assert "has no body" in violation([HOST, body], lambda: "1.1", upgrade=True, answering=False)
