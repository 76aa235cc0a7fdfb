"""`python -m bench pace --only kept`: what a second call of a run gains by the limit of the first.

Virtual time and the library's own code, as in `pace`. The vendor's ceiling may have changed between
the two calls.
"""

import asyncio
import logging
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from bench.hidden_cap import HiddenCap
from bench.suite import Session
from bench.table import table_lines
from nbp_async import AutoLimit, Client, Limits, Profile
from nbp_async.testing.journal import inline_journal
from nbp_async.testing.sink import NowhereSink
from nbp_async.testing.virtual_time import run_virtual

VENDOR = Profile(name="hidden", base_url="https://vendor.example/v1")
LEARNED_IN = 600.0  # seconds of the first call
LOOKED_AT = 60.0  # seconds of the second one
FOUND = (40, 400)
SINCE = {"as before": 1.0, "half": 0.5, "a quarter": 0.25, "twice": 2.0}

Age = Literal["now", "2 hours", "2 days"]
_AGES: dict[Age, float] = {"now": 0.0, "2 hours": 7200.0, "2 days": 2 * 86400.0}


class KeptRow(msgspec.Struct, frozen=True):
    """The first minute of a second call.

    Attributes:
        found: The ceiling that the first call had found.
        since: What it is now: "as before", "half" and so on.
        age: How long ago it was found; after two days it is forgotten.
        share: Of the ceiling, in this minute.
        refusals: In this minute.
        back_after: Seconds until nine tenths of the ceiling were in use; None for never.
    """

    found: int
    since: str
    age: Age
    share: float
    refusals: int
    back_after: float | None


def measure_kept(found: int, since: str, age: Age) -> KeptRow:
    """Play two calls of one run."""
    with tempfile.TemporaryDirectory(prefix="nbp-") as folder:
        path = Path(folder) / "run.sqlite3"
        run_virtual(_call(path, found, LEARNED_IN), sockets=False)
        _let_it_be_older(path, _AGES[age])
        cap = int(found * SINCE[since])
        vendor = run_virtual(_call(path, cap, LOOKED_AT), sockets=False)
    held = [min(sample.held, cap) for sample in vendor.samples]
    back = (sample.at for sample in vendor.samples if sample.held >= 0.9 * cap)
    return KeptRow(found, since, age, sum(held) / cap / len(held), vendor.refused, next(back, None))


async def _call(path: Path, cap: int, seconds: float) -> HiddenCap:
    vendor = HiddenCap(lambda _: cap)
    task = asyncio.create_task(_make(path, vendor, cap))
    await vendor.watch(seconds, tuple)
    logging.getLogger("nbp_async").setLevel(logging.ERROR)  # requests that end with the call
    task.cancel()
    await asyncio.wait([task])
    return vendor


async def _make(path: Path, vendor: HiddenCap, cap: int) -> None:
    limits = Limits(max_in_flight=AutoLimit(ceiling=1000))
    async with Client(
        VENDOR, "sk-simulated", limits=limits, transport=vendor, rng=lambda: 0.5
    ) as gen:
        prompts = (f"picture {number} of {cap}" for number in range(10**9))
        journal = await inline_journal(path)
        async for _ in gen.stream(prompts, size="2K", out=NowhereSink(), journal=journal):
            pass


def _let_it_be_older(path: Path, seconds: float) -> None:
    written = "json_extract(text, '$.written') - ?"
    with sqlite3.connect(path) as db:
        db.execute(f"UPDATE note SET text = json_set(text, '$.written', {written})", (seconds,))
    db.close()


async def kept(session: Session) -> None:
    """the second call of a run, which begins with the limit of the first"""
    rows = [
        await asyncio.to_thread(measure_kept, found, since, age)
        for found in (FOUND[:1] if session.quick else FOUND)
        for since in SINCE
        for age in _AGES
    ]
    session.show("", *_lines(rows))
    for row in rows:
        if row.age == "now" and row.since == "as before":
            after = 60.0 if row.back_after is None else row.back_after
            session.check(f"back at {row.found} after", after, 6.0, "s")
        if row.age == "now" and row.since == "half":
            session.check(f"refusals: half of {row.found}", row.refusals, row.found / 8, "")
    session.readings["kept"] = [msgspec.to_builtins(row) for row in rows]


def _lines(rows: Sequence[KeptRow]) -> Iterator[str]:
    cells = []
    for row in rows:
        if row.age == "now":
            same = {
                one.age: f"{one.share:.0%} / {one.refusals} / {_seconds(one.back_after)}"
                for one in rows
                if (one.found, one.since) == (row.found, row.since)
            }
            cells.append((f"{row.found}, now {row.since}", *(same[age] for age in _AGES)))
    yield "the first minute: share of the ceiling / refusals / seconds until 90 % of it were in use"
    yield from table_lines(["ceiling found", "just now", "2 hours ago", "forgotten"], cells)


def _seconds(after: float | None) -> str:
    return "-" if after is None else f"{after:.0f} s"
