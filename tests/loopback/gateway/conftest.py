"""A fake vendor that holds calls, and a gateway before it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nbp_async.fake import FakeServer
from tests.loopback.gateway.site import Site, site


@pytest.fixture
async def vendor() -> AsyncIterator[FakeServer]:
    async with FakeServer(latency=0.1, delivery="b64_json") as running:
        yield running


@pytest.fixture
async def gateway(tmp_path: Path, vendor: FakeServer) -> AsyncIterator[Site]:
    async with site(tmp_path / "gateway", vendor) as running:
        yield running
