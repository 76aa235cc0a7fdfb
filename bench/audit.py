"""What a run says it has cost, beside what the fake bank says."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from nbp_async import read_run
from nbp_async.fake.bank import prompt_digest
from nbp_async.fake.process import SpawnedServer


@dataclass(frozen=True)
class Audit:
    """Dollars by the bank, by the journal, and those paid twice that the journal does not know."""

    billed: Decimal
    spent: Decimal
    maybe: Decimal
    twice: Decimal


async def audit(server: SpawnedServer, run: Path | str) -> Audit:
    """Compare the bank with the journal; each prompt of the run has another text."""
    while (await server.stats()).in_flight:  # noqa: ASYNC110  it is another process
        await asyncio.sleep(0.05)
    witness = await server.witness(prompts=True)
    paid = Counter(witness.images_by_prompt)
    report = await asyncio.to_thread(read_run, run)
    price = witness.stats.dollars / max(1, witness.stats.images)
    twice = sum(
        (
            max(Decimal(0), paid[prompt_digest(row.prompt)] * price - row.spent_usd - row.maybe_usd)
            for row in report.rows()
        ),
        Decimal(0),
    )
    totals = report.totals
    return Audit(witness.stats.dollars, totals.spent, totals.maybe, twice)
