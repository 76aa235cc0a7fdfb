"""Fixtures of the command line's tests."""

from collections.abc import AsyncIterator

import pytest

from tests.loopback.cli.vendor import Vendor, serve


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with serve() as running:
        yield running
