"""The bank decides: what was billed is what was delivered plus what is reported as lost or unclear.

Every test of a fault ends with `assert_settled`.
"""

import asyncio
import gc
import os
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from nbp_async._client import Client
from nbp_async._models import Image, Outcome
from nbp_async.fake import FakeServer


def file_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def assert_settled(
    gen: Client,
    server: FakeServer,
    outcomes: Iterable[Outcome],
    *,
    out: Path | None = None,
    deaf: bool = False,
) -> None:
    """The four questions that every fault has to answer.

    1. No prompt was billed more often than its outcome says.
    2. The bank's sum is what was spent, or lies between that and what may have been besides.
    3. Outcomes and files agree, byte by byte.
    4. No slot, temporary file or half-open request is left over; a `deaf` server, which reads
       nothing, cannot see that we are gone.
    """
    outcomes = list(outcomes)
    await server.drain()
    _assert_paid(server, outcomes)
    _assert_stored(outcomes, out)
    assert gen.in_flight == 0
    await asyncio.sleep(0.05)
    gc.collect()
    assert deaf or server.stats().in_flight == 0


def _assert_paid(server: FakeServer, outcomes: list[Outcome]) -> None:
    spent = sum((o.spent for o in outcomes), start=0 * server.bank.billed)
    maybe = sum((o.maybe_spent for o in outcomes), start=0 * server.bank.billed)
    # Where no tokens were told, the list's price stands for them: it leaves out a cent of text.
    told_all = all(isinstance(o, Image) for o in outcomes)
    slack = Decimal(1) if told_all else Decimal("1.05")
    most = (spent + maybe) * slack
    assert spent <= server.bank.billed <= most, (spent, server.bank.billed, maybe)

    told: Counter[str] = Counter()
    for outcome in outcomes:
        told[outcome.prompt.text] += sum(a.billing != "no" for a in outcome.attempts)
        if isinstance(outcome, Image):
            told[outcome.prompt.text] += len(outcome.extras)
    for text, count in told.items():
        assert server.bank.billed_for(text) <= count, text


def _assert_stored(outcomes: list[Outcome], out: Path | None) -> None:
    for image in (o for o in outcomes if isinstance(o, Image)):
        content = image.read()
        assert len(content) == image.stored.size
    if out is not None and out.exists():
        kept = {o.path for o in outcomes if isinstance(o, Image)}
        kept |= {e.path for o in outcomes if isinstance(o, Image) for e in o.extras}
        kept -= {None}  # a disk that failed left it in memory
        books = ("journal.", "manifest.")
        assert {path for path in out.iterdir() if not path.name.startswith(books)} == kept
