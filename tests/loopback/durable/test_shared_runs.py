"""Several processes share one run: nobody buys what another one has, and all have all outcomes."""

import asyncio
import re
import textwrap
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nbp_async import BudgetError, Client, ConfigError, Limits, Profile, read_run
from nbp_async._journal.postgres import PostgresJournal
from nbp_async.cli.help_command import topics
from nbp_async.fake import FakeServer
from nbp_async.fake.process import spawn
from tests.databases import database, execute
from tests.loopback.durable.kills import assert_books, finish, kill_at, task_of

PROMPTS = [f"prompt {n}" for n in range(12)] + ["the same"] * 3


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(PostgresJournal, "poll", 0.05)
    monkeypatch.setattr(PostgresJournal, "sweep", 0.05)
    with database() as found:
        yield found


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer(latency=0.1, delivery="b64_json") as running:
        yield running


async def many(
    server: FakeServer, address: str, out: Path, *, machines: int, **more: Any
) -> list[Any]:
    """The same call, made by several clients at once."""
    profile = Profile(name="vendor", base_url=server.openai_url, response_format=None)
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                Client(profile, server.key, limits=Limits(max_in_flight=3))
            )
            for _ in range(machines)
        ]
        given: dict[str, Any] = {
            "size": "1K",
            "out": out,
            "journal": address,
        } | more
        return await asyncio.gather(*(gen.many(PROMPTS, **given) for gen in clients))


async def test_three_machines_make_each_image_once_and_all_know_it(
    server: FakeServer, address: str, tmp_path: Path
) -> None:
    batches = await many(server, address, tmp_path, machines=3)
    await server.drain()
    assert Counter(server.bank.by_digest().values()) == {1: 12, 3: 1}
    for batch in batches:
        assert [outcome.index for outcome in batch.outcomes] == list(range(len(PROMPTS)))
        assert all(image.path.is_file() for image in batch.images)
    assert len({image.path for batch in batches for image in batch.images}) == len(PROMPTS)
    spent = [batch.billing.spent for batch in batches]
    assert sum(spent) == server.bank.billed == read_run(address).totals.spent
    assert all(0 < dollars < server.bank.billed for dollars in spent), "all of them worked"
    (again,) = await many(server, address, tmp_path, machines=1)
    assert (len(again.images), again.billing.spent) == (len(PROMPTS), 0)


async def test_one_cap_holds_for_all_machines(
    server: FakeServer, address: str, tmp_path: Path
) -> None:
    batches = await many(server, address, tmp_path, machines=3, max_cost="0.70")
    await server.drain()
    assert server.bank.billed <= Decimal("0.70")
    assert server.bank.billed == sum(batch.billing.spent for batch in batches)
    errors = [failure.error for batch in batches for failure in batch.failures]
    assert {type(error) for error in errors} == {BudgetError}


@pytest.mark.parametrize(
    ("at", "nth"),
    [("claim:after", 4), ("arm:after", 4), ("head", 3), ("commit:after", 3), ("finish:before", 3)],
)
async def test_a_killed_machine_is_named_and_its_prompts_are_made_by_others(
    at: str, nth: int, address: str, tmp_path: Path
) -> None:
    """Its lease ends by itself after 30 s; here it is made to end at once."""
    out = tmp_path / "out"
    async with await spawn(latency="20-40", speed=400.0) as server:
        task = task_of(server, out, prompts=8, in_flight=3, database=address)
        assert await kill_at({**task, "at": at, "nth": nth}), f"{at} was never passed"
        lapse = "UPDATE SCHEMA.session SET lease_end = clock_timestamp()"
        await asyncio.to_thread(execute, address, lapse)
        await assert_books(server, out, run=address)
        said = await finish(task)
        report = await assert_books(server, out, run=address)
        assert said["images"] + said["unclear"] == 8, said
        assert said["unclear"] <= 3, "no more than was in flight"
        assert not {"armed", "planned"} & {state for state, n in report.states.items() if n}
        again = await finish({**task, "resend_ambiguous": True, "max_cost": "20"})
        assert again["images"] == 8, again
        assert again["resumed"] == said["images"]
        await assert_books(server, out, run=address)


async def test_what_is_waited_for_elsewhere_ends_with_a_stop(
    server: FakeServer, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def released(self: PostgresJournal, items: Sequence[int]) -> list[int]:
        asked.set()
        return []

    monkeypatch.setattr(PostgresJournal, "released", released)
    profile = Profile(name="vendor", base_url=server.openai_url, response_format=None)
    async with Client(profile, server.key) as gen, Client(profile, server.key) as other:
        making = gen.start(["a"], size="1K", out=tmp_path, journal=address)
        while not server.stats().in_flight:
            await asyncio.sleep(0.01)
        waiting = other.start(["a"], size="1K", out=tmp_path, journal=address)
        await asked.wait()
        waiting.stop()
        (failure,) = (await waiting).failures
        assert (await making).images
    assert "another process of this run works on it" in str(failure.error)
    assert failure.billing == "no"
    await server.drain()
    assert server.bank.images == 1


async def test_a_run_of_many_needs_one_place_and_no_batch_jobs(address: str) -> None:
    async with Client("google", "test-key-test-key") as gen:
        with pytest.raises(ConfigError, match="need one place for its images"):
            gen.many(["a"], journal=address)
        with pytest.raises(ConfigError, match="batch jobs belong to one process"):
            gen.many(["a"], journal=address, out="x/", via="batch")
        with pytest.raises(ConfigError, match=r"add \?run=NAME"):
            gen.many(["a"], journal="postgresql://me:secret@host/db", out="x/")


async def test_the_guide_s_example_runs(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", topics()["many-machines"], re.DOTALL)
    code = code.replace("postgresql://db/shop?run=spring", address)
    code = code.replace("/mnt/spring", str(tmp_path))
    names: dict[str, Any] = {}
    exec("async def main(gen, prompts):\n" + textwrap.indent(code + "return batch", "    "), names)
    async with Client.fake(server={"latency": 0.0}) as gen:
        batch = await names["main"](gen, ["a", "b"])
    assert len(batch.images) == 2
