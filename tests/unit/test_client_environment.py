"""Tests of the variables for proxies and certificates: each concerns some services, and an error names it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from sine_client import AsyncClient, Client
from sine_client.environment import route
from tests.unit.test_client_address import SECRET, everything_in

PROXIES = [name + end for name in ("HTTP", "HTTPS", "ALL", "NO") for end in ("_PROXY", "_proxy")]
PROXIES += [name.lower() for name in PROXIES]
FAR, SAFE = "http://192.0.2.1:8000", "https://192.0.2.1"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {*PROXIES, "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"}:
        monkeypatch.delenv(name, raising=False)


def set_all(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    "variables",
    [
        {"HTTP_PROXY": "http://proxy:3128"},
        {"http_proxy": "proxy:3128"},
        {"ALL_PROXY": "http://alice:word@proxy:3128"},
        {"HTTP_PROXY": "http://proxy:3128", "ALL_PROXY": "nonsense://", "HTTPS_PROXY": "nonsense://"},
        {"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "[::1],localhost,.example.org, 192.0.2.10"},
    ],
)
def test_a_proxy_is_the_one_for_the_scheme(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    set_all(monkeypatch, variables)
    way = route(FAR)
    assert way.proxy is not None
    assert way.proxy.url == "http://proxy:3128"
    assert f"(through the proxy of {next(iter(variables))})" in way.note


@pytest.mark.parametrize(
    ("address", "no_proxy"),
    [
        ("http://127.0.0.1:8000", ""),
        ("http://localhost:8000", ""),
        ("http://[::1]:8000", ""),
        ("http://192.0.2.1:8000", "192.0.2.1"),
        ("http://192.0.2.1:8000", "other,192.0.2.1:8000"),
        ("http://192.0.2.1:8000", "*"),
        ("http://[2001:db8::1]:8000", "[2001:db8::1]"),
        ("http://[2001:db8::1]:8000", "2001:db8::1"),
        ("http://a.example.org", ".example.org"),
        ("http://a.example.org", "example.org"),
    ],
)
def test_a_proxy_that_is_not_used_is_not_read(monkeypatch: pytest.MonkeyPatch, address: str, no_proxy: str) -> None:
    set_all(monkeypatch, {"ALL_PROXY": "socks5://127.0.0.1:1", "HTTP_PROXY": "nonsense://", "NO_PROXY": no_proxy})
    assert route(address).proxy is None
    Client(address).close()


@pytest.mark.parametrize("no_proxy", ["[::1]", "::1", "[", "http://[", "*.example.org", ",,", "\x01"])
@pytest.mark.parametrize("address", [FAR, "http://127.0.0.1:8000"])
def test_no_form_of_no_proxy_stops_a_client(monkeypatch: pytest.MonkeyPatch, no_proxy: str, address: str) -> None:
    monkeypatch.setenv("NO_PROXY", no_proxy)
    Client(address).close()


@pytest.mark.parametrize(
    "proxy",
    [
        f"ftp://alice:{SECRET}@proxy",
        f"http://alice:{SECRET}@proxy:99999",
        f"http://alice:{SECRET}#x@proxy:3128",
        f"http://alice:{SECRET}@",
        f"socks4://alice:{SECRET}@proxy",
        "http://",
        "http://pro xy",
    ],
)
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_a_wrong_proxy_is_an_error_that_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, client: type[Client], variable: str, proxy: str
) -> None:
    monkeypatch.setenv(variable, proxy)
    with pytest.raises(ValueError, match=f"^{variable} ") as refused:
        client(FAR)
    assert SECRET not in everything_in(refused.value)


def test_a_socks_proxy_needs_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    monkeypatch.setattr("sine_client.environment.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"^ALL_PROXY names a SOCKS proxy, .* socksio is missing"):
        Client(FAR)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"])
def test_certificates_that_cannot_be_read_are_an_error_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    (tmp_path / "no-certificate").write_text("text")
    wrong = [tmp_path / "missing" / "too", tmp_path / "no-certificate" if variable != "SSLKEYLOGFILE" else tmp_path]
    for path in wrong:
        monkeypatch.setenv(variable, str(path))
        with pytest.raises(ValueError, match=f"^{variable} names "):
            Client(SAFE)
        Client(FAR).close()  # it speaks no TLS


def test_certificates_are_those_of_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert route(SAFE).certificates.cert_store_stats()["x509_ca"] > 0
    monkeypatch.setenv("SSL_CERT_DIR", f"{tmp_path / 'missing'}:{tmp_path}")
    way = route(SAFE)
    assert way.certificates.cert_store_stats()["x509_ca"] == 0
    assert way.note == " (with the certificates of SSL_CERT_DIR)"


def test_an_error_on_the_way_names_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://alice:{SECRET}@127.0.0.1:9")
    with Client(FAR, patience_s=0) as client, pytest.raises(Exception, match=r"proxy of HTTP_PROXY\)$") as failed:
        client.predict([1.0])
    assert SECRET not in everything_in(failed.value)
