"""The journals that contracts are kept by: on a thread of its own, and inline."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nbp_async._journal.sqlite import SqliteJournal
from tests.contracts.journals import Open


@pytest.fixture(params=["thread", "inline"])
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    journals: list[SqliteJournal] = []

    async def again(**more: Any) -> SqliteJournal:
        for journal in journals:
            await journal.aclose()
        given: dict[str, Any] = {
            "account": "vendor:me",
            "folder": tmp_path,
            "wall_clock": lambda: 1000.0,
            "manifest": tmp_path / "manifest.jsonl",
            "inline": request.param == "inline",
        }
        journal = await SqliteJournal.open(tmp_path / "journal.sqlite3", **(given | more))
        journals.append(journal)
        return journal

    yield again
    for journal in journals:
        await journal.aclose()
