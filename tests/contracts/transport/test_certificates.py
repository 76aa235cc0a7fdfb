"""A host that cannot prove itself gets nothing, and is told why; whom to trust is chosen once.

In real time: some of these servers run in a thread, as only a blocking one sends its last alert.
"""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_server
from typing import Any

import pytest
import trustme

from nbp_async._base.errors import (
    CertificateError,
    ConfigError,
    ConnectError,
    DisconnectedError,
)
from nbp_async._transports.base import Transport
from nbp_async._transports.network import network_of
from tests.contracts.transport.kit import Kind, Line
from tests.raw_server import answering, framed, serving

DAY = timedelta(days=1)
NOW = datetime.now(UTC)
VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")


@pytest.fixture(params=["aiohttp", "httpx", "direct"])
def line(request: pytest.FixtureRequest, authority: trustme.CA, ca_file: str) -> Line:
    return Line(Kind(request.param, tls=True), authority, ca_file)


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def context(authority: trustme.CA, name: str = "127.0.0.1", **dates: Any) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **dates).configure_cert(made)
    return made


FAULTS = {
    "expired": ({"not_before": NOW - 9 * DAY, "not_after": NOW - DAY}, "has expired", "clock"),
    "early": ({"not_before": NOW + DAY, "not_after": NOW + 9 * DAY}, "is not valid yet", "clock"),
    "other name": ({"name": "elsewhere.example"}, "is for another name", "address"),
}


@pytest.mark.parametrize(("given", "says", "hint"), FAULTS.values(), ids=FAULTS.keys())
async def test_what_is_wrong_with_a_certificate_is_told(
    line: Line, given: dict[str, Any], says: str, hint: str
) -> None:
    server_context = context(line.authority, **given)
    async with serving(answering(framed(b"{}")), server_context) as server:
        got = await line.post(server.url)
    await line.aclose()
    error = got.failed_with(CertificateError)
    assert f"its certificate {says}" in str(error)
    assert hint in error.hint
    assert (got.timer.sent, server.requests) == (False, [])


async def test_an_authority_that_is_not_trusted_is_told(line: Line) -> None:
    stranger = line.make(None)
    async with serving(answering(framed(b"{}")), context(line.authority)) as server:
        got = await line.post(server.url, transport=stranger)
    await stranger.aclose()
    await line.aclose()
    error = got.failed_with(CertificateError)
    assert "is from an authority that is not trusted here" in str(error)
    assert "SSL_CERT_FILE" in error.hint


@contextmanager
def shaking_hands(server_context: ssl.SSLContext) -> Iterator[str]:
    """A server that refuses in the handshake, as blocking ones do: its alert arrives."""
    listener = create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                with suppress(OSError):
                    server_context.wrap_socket(connection, server_side=True).recv(1)
                connection.settimeout(5)
                with suppress(OSError):
                    while connection.recv(65536):  # a close with bytes unread would be a reset
                        pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        listener.close()
        thread.join()


async def test_a_host_that_wants_a_certificate_of_ours_has_read_nothing(line: Line) -> None:
    """With TLS 1.3 it says so after the request was written, and before it reads any of it."""
    server_context = context(line.authority)
    server_context.verify_mode = ssl.CERT_REQUIRED
    with shaking_hands(server_context) as url:
        got = await line.post(url)
    await line.aclose()
    if line.kind.library == "httpx" and isinstance(got.error, DisconnectedError):
        return  # anyio may lose the alert: then nobody knows
    error = got.failed_with(CertificateError)
    assert "it wants a certificate from us" in str(error)
    assert error.billing == "no"


async def test_a_handshake_that_fails_is_told_in_the_words_of_tls(line: Line) -> None:
    server_context = context(line.authority)
    server_context.verify_mode = ssl.CERT_REQUIRED
    server_context.maximum_version = ssl.TLSVersion.TLSv1_2
    with shaking_hands(server_context) as url:
        got = await line.post(url)
    await line.aclose()
    error = got.failed_with(ConnectError)
    assert "TLS failed (alert handshake failure): it may want a certificate from us" in str(error)
    assert not got.timer.sent


def transport_of(line: Line, ca: str | None = None, certificates: str | None = None) -> Transport:
    network = network_of(None, ca, certificates, trust_env=False)
    return line.kind.transport(network)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "system", "ca"])
async def test_whom_to_trust_is_named_in_many_ways(
    line: Line, name: str, monkeypatch: pytest.MonkeyPatch, ca_file: str
) -> None:
    chosen: dict[str, str] = {}
    monkeypatch.setenv("SSL_CERT_DIR", "/etc/ssl/certs")  # which many machines set
    if name in VARIABLES:
        monkeypatch.setenv(name, ca_file)
    elif name == "system":  # on Linux the store is where OpenSSL looks
        pytest.importorskip("truststore")
        monkeypatch.setenv("SSL_CERT_FILE", ca_file)
        chosen["certificates"] = "system"
    else:
        chosen["ca"] = ca_file
    transport = transport_of(line, **chosen)
    async with serving(answering(framed(b"{}")), context(line.authority)) as server:
        got = await line.post(server.url, transport=transport)
    await transport.aclose()
    await line.aclose()
    assert (got.error, got.body) == (None, b"{}")


async def test_the_option_goes_before_the_variables(
    line: Line, monkeypatch: pytest.MonkeyPatch, ca_file: str, tmp_path: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca_file)
    transport = transport_of(line, ca=str(tmp_path / "other.pem"))
    async with serving(answering(framed(b"{}")), context(line.authority)) as server:
        got = await line.post(server.url, transport=transport)
    await transport.aclose()
    await line.aclose()
    got.failed_with(CertificateError)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_variable_that_names_no_file_is_told(
    line: Line, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "/nowhere.pem")
    with pytest.raises(ConfigError, match=rf"{name}='/nowhere\.pem' cannot be used: No such file"):
        transport_of(line)


def test_a_file_and_the_systems_store_exclude_each_other(line: Line, ca_file: str) -> None:
    with pytest.raises(ConfigError, match="not both"):
        transport_of(line, ca=ca_file, certificates="system")
