"""The bytes of batch jobs on their way: uploads that are cut off, results of any size."""

from pathlib import Path

import pytest

from nbp_async._client import Client
from nbp_async._flow import batch_upload
from nbp_async._journal.base import JOURNAL
from nbp_async.fake import FakeServer, faults
from nbp_async.fake.faults import Fault
from nbp_async.testing.journal import inline_journal
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY, profile

pytestmark = pytest.mark.looptime

PROMPTS = [f"bicycle {number}" for number in range(4)]


@pytest.mark.parametrize(("script", "begun"), [
    ([faults.cut_upload(0.0)], 1),
    ([faults.ok(), faults.cut_upload(0.7)], 1),
    ([faults.cut_upload(1.0), faults.cut_upload(0.3), faults.cut_upload(0.9)], 1),
    ([faults.ok(), faults.disconnect()], 1),
    ([faults.reset(before=True)], 1),
    ([faults.status(503)], 1),
    ([faults.ok(), faults.ok(), faults.disconnect()], 2),
])  # fmt: skip
async def test_an_upload_that_was_cut_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: list[Fault], begun: int
) -> None:
    """Only where the last of it arrived, and its name did not, it begins anew."""
    monkeypatch.setattr(batch_upload, "PIECE", 250)
    server = FakeServer(keys=[KEY], batch_latency=900.0)
    async with server, Client(profile(server, "gemini"), KEY, rng=lambda: 0.5) as gen:
        server.script(*script, match="piece of")
        server.script(*[faults.ok()] * 5, match="upload nbp-")
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS, size="1K", via="batch", journal=journal)
        assert len(made.images) == 4
        assert server.unplayed == 5 - begun
        await assert_settled(gen, server, made)
