"""What tests of batch calls share: both vendors, jobs of few lines, and one call on a run.

The fixtures are imported by name, for they apply to each test of the module that does so.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from nbp_async._client import Client
from nbp_async._dialects import gemini_batch
from nbp_async._flow import batch
from nbp_async._journal.base import JOURNAL
from nbp_async._profiles import DialectName, Profile
from nbp_async.fake import FakeServer
from nbp_async.testing.journal import inline_journal
from tests.loopback.play import KEY, profile

PROMPTS = [f"bicycle {number}" for number in range(7)]
ONLY_GOOGLE = pytest.mark.parametrize("each_dialect", ["gemini"], indirect=True)
"""For what OpenAI has not, or does otherwise."""
ONLY_OPENAI = pytest.mark.parametrize("each_dialect", ["openai_images"], indirect=True)

_asked: list[DialectName] = []


@pytest.fixture(autouse=True, params=["gemini", "openai_images"])
def each_dialect(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test is of both vendors."""
    _asked.append(request.param)
    yield
    _asked.clear()


@pytest.fixture(autouse=True)
def small_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few lines to a job, and each job with a file as those of many have it."""
    monkeypatch.setattr(batch, "MOST_LINES", 3)
    monkeypatch.setattr(gemini_batch, "MOST_INLINE", 0)


def seller(server: FakeServer) -> Profile:
    """The server as the vendor whose turn it is."""
    return profile(server, _asked[-1])


def vendor(**more: Any) -> FakeServer:
    return FakeServer(**{"keys": [KEY], "batch_latency": 900.0, **more})


async def call(
    server: FakeServer, folder: Path, prompts: Sequence[Any] = PROMPTS, **more: Any
) -> Any:
    """One call on the run of `folder`, as its own client would make it."""
    async with Client(seller(server), KEY, rng=lambda: 0.5) as gen:
        journal = await inline_journal(folder / JOURNAL)
        batch = await gen.many(prompts, size="1K", via="batch", journal=journal, **more)
        assert gen.in_flight == 0
        return batch
