"""Fixtures of the command line's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.loopback.cli.vendor import Shell, Vendor, serve


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with serve() as running:
        yield running


@pytest.fixture
async def shell(vendor: Vendor, tmp_path: Path) -> AsyncIterator[Shell]:
    opened = Shell(tmp_path, vendor.url)
    yield opened
    await opened.aclose()
