"""The journals that contracts are kept by: SQLite on a thread and inline, and PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.journals import Journals
from tests.databases import database


@pytest.fixture(params=["thread", "inline", "postgresql"])
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journals]:
    if request.param == "postgresql":
        with database() as address:
            journals = Journals(kind="postgresql", folder=tmp_path, address=address)
            yield journals
            await journals.close()
        return
    journals = Journals(kind=request.param, folder=tmp_path)
    yield journals
    await journals.close()


@pytest.fixture(params=["thread", "inline"])
async def in_a_file(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journals]:
    journals = Journals(kind=request.param, folder=tmp_path)
    yield journals
    await journals.close()


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Journals]:
    """A run in PostgreSQL, which several processes may open at a time."""
    with database() as address:
        journals = Journals(kind="postgresql", folder=tmp_path, address=address)
        yield journals
        await journals.close()
