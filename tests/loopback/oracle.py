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

from nbp_async._client.client import Client
from nbp_async._models.outcomes import Image, Outcome
from nbp_async.fake import FakeServer


def file_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def assert_settled(
    gen: Client,
    server: FakeServer,
    outcomes: Iterable[Outcome],
    *,
    out: Path | None = None,
    ignores_input: bool = False,
) -> None:
    """The four questions that every fault has to answer.

    1. No prompt was billed more often than its outcome says.
    2. The bank's sum lies between what was spent and that plus what may have been billed.
    3. Outcomes and files agree, byte by byte.
    4. No slot, temporary file or half-open request is left over. A server that reads nothing
       (`ignores_input`) cannot see that we are gone.
    """
    outcomes = list(outcomes)
    await server.drain()
    _assert_paid(server, outcomes)
    _assert_stored(outcomes, out)
    assert gen.in_flight == 0
    await asyncio.sleep(0.05)
    gc.collect()
    assert ignores_input or server.stats().in_flight == 0


def _assert_paid(server: FakeServer, outcomes: list[Outcome]) -> None:
    spent = sum((o.spent for o in outcomes), start=0 * server.bank.billed)
    maybe = sum((o.maybe_spent for o in outcomes), start=0 * server.bank.billed)
    # Without token counts the list price counts, which leaves out a cent of text.
    all_images = all(isinstance(o, Image) for o in outcomes)
    slack = Decimal(1) if all_images else Decimal("1.05")
    most = (spent + maybe) * slack
    assert spent <= server.bank.billed <= most, (spent, server.bank.billed, maybe)

    reported: Counter[str] = Counter()
    for outcome in outcomes:
        reported[outcome.prompt.text] += sum(a.billing != "no" for a in outcome.attempts)
        if isinstance(outcome, Image):
            reported[outcome.prompt.text] += len(outcome.extras)
    for text, count in reported.items():
        assert server.bank.billed_for(text) <= count, text


def _assert_stored(outcomes: list[Outcome], out: Path | None) -> None:
    for image in (o for o in outcomes if isinstance(o, Image) and not o.links):
        content = image.read()
        assert len(content) == image.stored.size
    if out is not None and out.exists():
        kept = {o.path for o in outcomes if isinstance(o, Image)}
        kept |= {e.path for o in outcomes if isinstance(o, Image) for e in o.extras}
        kept -= {None}  # a disk that failed left it in memory
        books = ("journal.", "manifest.", "unread")
        unread = {str(path) for path in (out / "unread").glob("*")}
        assert unread == {o.unread for o in outcomes if o.unread}
        assert {path for path in out.iterdir() if not path.name.startswith(books)} == kept
