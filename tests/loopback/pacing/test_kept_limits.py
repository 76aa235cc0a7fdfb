"""A learned limit is kept in the run's journal: the next call goes straight back to it."""

import asyncio
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nbp_async import AutoLimit, Client, Limits, Listener, Profile, read_run
from nbp_async._models.events import GateClosed, GateOpened, LimitChanged
from nbp_async.fake import FakeServer
from nbp_async.fake.quotas import Quotas
from nbp_async.testing.journal import inline_journal
from nbp_async.testing.virtual_time import run_virtual

CEILING = 100


@dataclass
class Play(Listener):
    """One call of a run.

    Attributes:
        refused: Requests that the vendor refused before `at_cap`, and in all.
        at_cap: When 90 % of the vendor's ceiling was in use, in seconds; None for never.
        remembered: What the gate says of an earlier run.
        changes: Of the limit.
    """

    refused: list[int] = field(default_factory=list)
    at_cap: float | None = None
    remembered: int = 0
    peak: int = 0
    changes: list[LimitChanged] = field(default_factory=list)
    pauses: int = 0

    def on_limit(self, event: LimitChanged) -> None:
        self.changes.append(event)

    def on_gate(self, event: GateClosed | GateOpened) -> None:
        self.pauses += isinstance(event, GateClosed)


async def play(
    path: Path, cap: int, prompts: range, *, port: int = 0, ceiling: int = CEILING
) -> tuple[Play, int]:
    """Make these against a vendor that holds `cap`; gives also its port, for the next call."""
    heard = Play()
    quotas = Quotas(concurrency=cap)
    async with FakeServer(latency="30-170", quotas=quotas, port=port, keys=["sk-1"]) as server:
        profile = Profile(name="vendor", base_url=server.openai_url, response_format=None)
        limits = Limits(max_in_flight=AutoLimit(ceiling=ceiling))
        async with Client(profile, "sk-1", limits=limits, listeners=[heard], account="shop") as gen:
            watch = asyncio.create_task(_watch(heard, gen, server, cap))
            journal = await inline_journal(path, account="vendor:shop")
            batch = await gen.many([f"picture {n}" for n in prompts], size="1K", journal=journal)
            watch.cancel()
            (gate,) = gen.statistics().values()
            heard.remembered = gate.remembered
        heard.refused.append(_refused(server))
        assert len(batch.images) == len(prompts)
        assert batch.billing.spent == server.bank.billed
        port = int(server.openai_url.split(":")[2].split("/")[0])
    return heard, port


def _refused(server: FakeServer) -> int:
    return server.stats().requests - server.bank.images


async def _watch(heard: Play, gen: Client, server: FakeServer, cap: int) -> None:
    began = asyncio.get_running_loop().time()
    while True:
        held = server.stats().in_flight
        heard.peak = max(heard.peak, gen.in_flight)
        if heard.at_cap is None and held >= 0.9 * cap:
            heard.at_cap = asyncio.get_running_loop().time() - began
            heard.refused.append(server.stats().requests - held - server.bank.images)
        await asyncio.sleep(0.25)


def learn(path: Path, cap: int = 40) -> tuple[Play, int]:
    return run_virtual(play(path, cap, range(cap * 6)))


def again(
    path: Path,
    port: int,
    cap: int,
    *,
    ceiling: int = CEILING,
    prompts: int | None = None,
    first: int = 1000,
) -> Play:
    drawn = range(first, first + (prompts or cap * 4))
    return run_virtual(play(path, cap, drawn, port=port, ceiling=ceiling))[0]


def age(path: Path, seconds: float) -> None:
    """Let the notes be so much older."""
    with sqlite3.connect(path) as db:
        written = "json_extract(text, '$.written') - ?"
        db.execute(f"UPDATE note SET text = json_set(text, '$.written', {written})", (seconds,))
    db.close()


def test_the_second_call_is_back_at_once_and_without_a_storm(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite3"
    first, port = learn(path)
    assert first.remembered == 0
    (known,) = read_run(path).learned
    assert 36 <= known.limit <= 41
    second = again(path, port, 40)
    assert second.remembered == known.limit
    assert second.changes[0].reason == "remembered"
    assert second.changes[0].known == known.limit
    assert first.at_cap is not None
    assert second.at_cap is not None
    assert second.at_cap <= 5.5 < first.at_cap
    assert second.refused[0] == 0, "all that it sent at once was accepted"
    (later,) = read_run(path).learned
    assert later.written > known.written


def test_a_ceiling_that_has_halved_costs_a_few_refusals(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite3"
    _, port = learn(path)
    second = again(path, port, 20)
    assert second.refused[0] <= 3
    assert second.peak <= 24
    assert second.at_cap is not None
    assert second.at_cap <= 1.0
    (known,) = read_run(path).learned
    assert 17 <= known.limit <= 21


def test_a_ceiling_of_ours_is_never_passed(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite3"
    _, port = learn(path)
    second = again(path, port, 40, ceiling=12, prompts=60)
    assert second.peak == 12
    assert second.refused[-1] == 0
    (known,) = read_run(path).learned
    assert known.limit == 12


def test_after_an_hour_less_leaves_at_once_and_after_a_day_it_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite3"
    _, port = learn(path)
    (known,) = read_run(path).learned
    age(path, 3700.0)
    older = again(path, port, 40)
    assert older.changes[0].limit == known.limit // 4
    assert older.at_cap is not None
    assert 5.0 < older.at_cap <= 8.0
    age(path, 86500.0)
    forgotten = again(path, port, 40, prompts=8, first=2000)
    assert forgotten.remembered == 0
    assert all(change.reason != "remembered" for change in forgotten.changes)


def test_a_call_that_is_killed_has_kept_what_it_had_found(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite3"

    async def killed() -> None:
        async with FakeServer(latency="30-170", quotas=Quotas(concurrency=40)) as server:
            profile = Profile(name="vendor", base_url=server.openai_url, response_format=None)
            limits = Limits(max_in_flight="auto")
            async with Client(profile, server.key, limits=limits) as gen:
                journal = await inline_journal(path)
                task = asyncio.ensure_future(
                    gen.many([f"picture {n}" for n in range(100)], size="1K", journal=journal)
                )
                await asyncio.sleep(60.0)
                found.extend(one.limit for one in read_run(path).learned)  # while it runs
                task.cancel()
                await asyncio.wait([task])
            await server.drain()

    found: list[int] = []
    run_virtual(killed())
    assert len(found) == 1
    assert found[0] >= 30


def test_nothing_is_kept_of_a_number_or_of_what_was_never_asked_for(tmp_path: Path) -> None:
    async def few(limit: Any, path: Path) -> None:
        async with Client.fake(server={"latency": 1.0}, limits=Limits(max_in_flight=limit)) as gen:
            await gen.many(["a", "b"], size="1K", journal=await inline_journal(path))

    for number, limit in enumerate(("auto", 50)):
        run_virtual(few(limit, tmp_path / f"{number}.sqlite3"))
        assert read_run(tmp_path / f"{number}.sqlite3").learned == ()


@pytest.mark.parametrize("word", ["nano-banana-pro", "vendor:shop", "127.0.0.1"])
def test_another_model_account_or_endpoint_has_its_own(tmp_path: Path, word: str) -> None:
    path = tmp_path / "run.sqlite3"
    _, port = learn(path, cap=10)
    with sqlite3.connect(path) as db:
        db.execute(
            "UPDATE note SET name = replace(name, ?, 'x'), text = replace(text, ?, 'x')",
            (word, word),
        )
    db.close()
    assert again(path, port, 10, prompts=4).remembered == 0
    assert len(read_run(path).learned) == 1
