"""What tests of batch calls share: both vendors, jobs of few lines, and one call on a run.

The fixtures are imported by name, for they apply to each test of the module that does so.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from nbp_async._batch_api import batch_pool as batch
from nbp_async._batch_api import gemini_batch
from nbp_async._client.client import Client
from nbp_async._journal.base import JOURNAL
from nbp_async._vendors.profiles import DialectName, Profile
from nbp_async.fake import FakeServer
from nbp_async.testing.journal import inline_journal
from tests.loopback.play import KEY, profile

PROMPTS = [f"bicycle {number}" for number in range(7)]
ONLY_GOOGLE = pytest.mark.parametrize("each_dialect", ["gemini"], indirect=True)
"""For what OpenAI does not have, or does in another way."""
ONLY_OPENAI = pytest.mark.parametrize("each_dialect", ["openai_images"], indirect=True)

_dialects: list[DialectName] = []


@pytest.fixture(autouse=True, params=["gemini", "openai_images"])
def each_dialect(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test runs with both vendors."""
    _dialects.append(request.param)
    yield
    _dialects.clear()


@pytest.fixture(autouse=True)
def small_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few lines in a job, and a file for each job, as large jobs have it."""
    monkeypatch.setattr(batch, "MOST_LINES", 3)
    monkeypatch.setattr(gemini_batch, "MOST_INLINE", 0)


def vendor_profile(server: FakeServer) -> Profile:
    """The profile of the server as the vendor of this test."""
    return profile(server, _dialects[-1])


def vendor(**more: Any) -> FakeServer:
    return FakeServer(**{"keys": [KEY], "batch_latency": 900.0, **more})


async def call(
    server: FakeServer, folder: Path, prompts: Sequence[Any] = PROMPTS, **more: Any
) -> Any:
    """One call on the run of `folder`, as its own client would make it."""
    async with Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        journal = await inline_journal(folder / JOURNAL)
        batch = await gen.many(prompts, size="1K", via="batch", journal=journal, **more)
        assert gen.in_flight == 0
        return batch
