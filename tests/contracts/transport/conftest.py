"""The transports that must obey one contract, each plain and over TLS."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from tests.contracts.transport.kit import Kind, Line

KINDS = [
    Kind("aiohttp"),
    Kind("aiohttp", tls=True),
    Kind("direct", tls=True),
]
SLOW_KINDS = [  # not that they are: there are many tests
    Kind("aiohttp", reuse=True),
    Kind("httpx"),
    Kind("httpx", tls=True),
    Kind("direct"),
    Kind("direct", reuse=True),
    Kind("direct", tls=True, reuse=True),
]
PARAMS = [*KINDS, *(pytest.param(kind, marks=pytest.mark.slow) for kind in SLOW_KINDS)]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture(params=PARAMS, ids=str)
async def line(
    request: pytest.FixtureRequest, authority: trustme.CA, ca_file: str
) -> AsyncIterator[Line]:
    """A transport, and servers for it to talk to."""
    kind: Kind = request.param
    line = Line(kind, authority, ca_file)
    yield line
    await line.aclose()
