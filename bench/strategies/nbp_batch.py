"""This library: the vendor's batch API, at half the price, within hours."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.strategies.base import CallRecord, Work
from bench.strategies.nbp import Ends, records, timeouts_of
from nbp_async import PROFILES, Client, Profile
from nbp_async.testing.journal import inline_journal


async def run(work: Work) -> list[CallRecord]:
    ends = Ends()
    async with Client(
        google(work), work.key, timeouts=timeouts_of(work), listeners=[ends], rng=work.rng
    ) as gen:
        prompts = [job.prompt for job in work.jobs]
        with TemporaryDirectory() as folder:
            # A folder has a journal of its own; without one, this needs no thread.
            journal = None if work.folder else await inline_journal(Path(folder) / "run.sqlite3")
            batch = await gen.many(
                prompts, size=work.size, via="batch", out=work.out, journal=journal
            )
    return [record for outcome in batch for record in records(outcome, ends)]


def google(work: Work) -> Profile:
    """Google, which has a batch API."""
    return replace(PROFILES["google"], base_url=f"{work.root}/v1beta")
