"""Each fault of a task as a client meets it, and who pays for it."""

import asyncio

import aiohttp
import pytest

from nbp_async.fake import faults as f
from nbp_async.fake import task_faults as t
from tests.loopback.fake.calls import Caller, billed, vendor
from tests.loopback.fake.tasks import cancel, look, state, submit, task_of

pytestmark = pytest.mark.looptime(start=0)


async def finished(call: Caller, *faults: f.Fault, **fields: object) -> str:
    """The id of a task that has had its time, with these faults."""
    name = await task_of(call, "a cat", *([t.several(*faults)] if faults else []), **fields)
    await call.server.drain()
    return name


@pytest.mark.parametrize(
    ("fault", "status"), [(f.rate_limited(), 429), (f.overloaded(), 503), (f.status(500), 500)]
)
async def test_a_refused_submit_leaves_no_task(fault: f.Fault, status: int) -> None:
    async with vendor() as call:
        assert (await submit(call, "a cat", fault)).status == status
        await call.server.drain()
        assert billed(call) == []


@pytest.mark.parametrize("fault", [f.disconnect(before=True), f.reset(before=True)])
async def test_a_submit_that_broke_before_leaves_no_task(fault: f.Fault) -> None:
    async with vendor() as call:
        with pytest.raises(aiohttp.ClientError):
            await submit(call, "a cat", fault)
        await call.server.drain()
        assert call.server.stats().tasks == 0
        assert billed(call) == []


@pytest.mark.parametrize("fault", [f.disconnect(), f.reset(), f.cut_body(0.5), f.raw(b"HTTP/1")])
async def test_a_submit_that_broke_afterwards_leaves_a_task_that_is_billed(fault: f.Fault) -> None:
    async with vendor() as call:
        with pytest.raises(aiohttp.ClientError):
            await submit(call, "a cat", fault)
        await call.server.drain()
        assert billed(call) == [None]


async def test_a_submit_can_be_refused_with_the_task_made_all_the_same() -> None:
    async with vendor(latency=100) as call:
        assert (await submit(call, "a cat", f.status(504, billed=True))).status == 504
        assert asyncio.get_running_loop().time() < 1
        await call.server.drain()
        assert billed(call) == [None]


async def test_a_submit_can_hang_while_its_task_is_worked_on() -> None:
    async with vendor(latency=100) as call:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await submit(call, "a cat", f.hang())
        await call.server.drain()
        assert asyncio.get_running_loop().time() == pytest.approx(100, abs=0.1)
        assert billed(call) == [None]


async def test_a_late_submit_answers_when_the_task_may_be_over() -> None:
    async with vendor(latency=100) as call:
        name = await task_of(call, "a cat", t.late(120))
        assert asyncio.get_running_loop().time() == pytest.approx(120, abs=0.1)
        assert await state(call, name) == "completed"
        assert billed(call) == [True]


async def test_looks_meet_their_faults_one_each_and_the_result_is_read_in_the_end() -> None:
    async with vendor() as call:
        # aiohttp sends a GET whose connection was reset once more by itself
        resets = [f.reset(), f.reset()]
        later = [f.ok(), f.cut_body(0.5), f.slow_body(100)]
        name = await finished(call, t.look(f.status(500), *resets, *later))
        assert (await look(call, name)).status == 500
        with pytest.raises(aiohttp.ClientError):
            await look(call, name)
        assert billed(call) == [None]
        assert (await look(call, name)).status == 200
        assert billed(call) == [True]
        with pytest.raises(aiohttp.ClientPayloadError):
            await look(call, name)
        before = asyncio.get_running_loop().time()
        assert (await look(call, name)).status == 200
        assert asyncio.get_running_loop().time() - before > 10
        assert billed(call) == [True]


async def test_a_result_that_never_arrived_whole_is_lost_until_it_does() -> None:
    async with vendor() as call:
        name = await finished(call, t.look(f.cut_body(0.5)))
        with pytest.raises(aiohttp.ClientPayloadError):
            await look(call, name)
        assert (billed(call), call.server.stats().lost) == ([False], 1)
        await look(call, name)
        assert (billed(call), call.server.stats().lost) == ([True], 0)


async def test_looks_can_fail_by_chance_the_same_way_in_every_run() -> None:
    async def statuses() -> list[int]:
        async with vendor(look_faults="500=0.3,429:2=0.2", seed=4) as call:
            name = await finished(call)
            came = [(await look(call, name)).status for _ in range(40)]
            assert billed(call) == [True]
        return came

    first = await statuses()
    assert await statuses() == first
    assert {200, 429, 500} == set(first)


async def test_a_task_can_be_hidden_for_a_while_or_for_some_looks() -> None:
    async with vendor(latency=100) as call:
        name = await task_of(call, "a cat", t.hidden(seconds=7))
        other = await task_of(call, "a dog", t.hidden(looks=2))
        assert [(await look(call, other)).status for _ in range(3)] == [404, 404, 200]
        assert (await cancel(call, name)).status == 404
        await asyncio.sleep(7)
        assert (await look(call, name)).status == 200
        await call.server.drain()
        assert billed(call) == [None, None]


@pytest.mark.parametrize("paid", [True, False])
async def test_a_stuck_task_runs_for_ever(paid: bool) -> None:
    async with vendor(latency=100) as call:
        name = await finished(call, t.stuck(billed=paid))
        await asyncio.sleep(100_000)
        came = (await look(call, name)).json
        assert (came["status"], came["progress"], came["result"]) == ("processing", 99, None)
        stopped = (await cancel(call, name)).json["status"]
        assert stopped == ("processing" if paid else "cancelled")
        assert billed(call) == ([False] if paid else [])


@pytest.mark.parametrize("paid", [True, False])
async def test_a_lost_task_is_unknown_for_ever(paid: bool) -> None:
    async with vendor(latency=100) as call:
        name = await task_of(call, "a cat", t.lost(after=50, billed=paid))
        assert await state(call, name) == "pending"
        await call.server.drain()
        await asyncio.sleep(1000)
        assert (await look(call, name)).status == 404
        assert billed(call) == ([None] if paid else [])


async def test_a_state_can_have_a_name_that_nobody_announced() -> None:
    async with vendor() as call:
        name = await finished(call, t.unknown_state("archived", looks=1))
        came = (await look(call, name)).json
        assert (came["status"], came["result"]) == ("archived", None)
        assert await state(call, name) == "completed"
        assert billed(call) == [True]


async def test_a_look_can_be_answered_with_another_task() -> None:
    async with vendor() as call:
        other = await task_of(call, "a dog")
        right = (await call.images("a cat")).json["data"]
        name = await finished(call, t.swapped("id"))
        came = (await look(call, name)).json
        assert (came["task_id"], came["result"]["data"]) == (other, right)
        name = await finished(call, t.swapped("result"))
        came = (await look(call, name)).json
        assert came["task_id"] == name
        assert came["result"]["data"] != right
        name = await finished(call, t.swapped())
        came = (await look(call, name)).json
        assert came["task_id"] != name
        assert came["result"]["data"] != right
        assert billed(call) == [None, True, True, False, False]


async def test_the_only_task_is_swapped_for_one_that_nobody_has() -> None:
    async with vendor() as call:
        name = await finished(call, t.swapped("id"))
        shown = (await look(call, name)).json["task_id"]
        assert shown != name
        assert (await look(call, shown)).status == 404
        assert billed(call) == [True]


@pytest.mark.parametrize("paid", [True, False])
async def test_a_task_fails_with_or_without_a_bill(paid: bool) -> None:
    async with vendor(latency=100) as call:
        name = await finished(call, t.failed("resource_exhausted", "no room", billed=paid))
        came = (await look(call, name)).json
        assert (came["status"], came["result"]) == ("failed", None)
        assert came["error"] == {"code": "resource_exhausted", "message": "no room"}
        assert billed(call) == ([False] if paid else [])


async def test_a_blocked_prompt_fails_soon_and_free() -> None:
    async with vendor(latency=100) as call:
        name = await finished(call, f.blocked())
        assert asyncio.get_running_loop().time() == pytest.approx(10, abs=0.1)
        assert (await look(call, name)).json["error"]["code"] == "content_policy_violation"
        assert billed(call) == []


async def test_what_spoils_an_answer_spoils_the_result() -> None:
    async with vendor() as call:
        page = await look(call, await finished(call, f.html_page()))
        assert page.headers["content-type"].startswith("text/html")
        none = await look(call, await finished(call, f.no_image()))
        assert none.json["result"]["data"] == []
        link = await look(call, await finished(call, f.bad_image("text"), response_format="url"))
        url = link.json["result"]["data"][0]["url"]
        assert (await call.get(url)).body.startswith(b"upstream error")
        assert billed(call) == [True, True, True]


async def test_task_faults_come_by_chance_to_the_same_jobs() -> None:
    prompts = [f"cat {n}" for n in range(40)]

    async def ends(order: list[str]) -> dict[str, str]:
        faults = {t.failed(): 0.2, t.stuck(): 0.1}
        async with vendor(faults=faults, seed=2) as call:
            names = {prompt: await task_of(call, prompt) for prompt in order}
            await call.server.drain()
            states = {prompt: await state(call, name) for prompt, name in names.items()}
            done = [prompt for prompt, shown in states.items() if shown == "completed"]
            assert sorted(row.prompt for row in call.server.bank.ledger) == sorted(done)
        return states

    first = await ends(prompts)
    assert await ends(prompts[::-1]) == first
    assert set(first.values()) == {"completed", "failed", "processing"}


async def test_task_faults_mean_nothing_to_a_held_call() -> None:
    async with vendor() as call:
        call.server.script(t.stuck(), t.failed(), t.several(t.late(5), t.lost()))
        assert [(await call.images("a cat")).status for _ in range(3)] == [200] * 3
        assert billed(call) == [True] * 3


async def test_a_result_without_its_last_chunk_was_handed_out_all_the_same() -> None:
    async with vendor() as call:
        name = await finished(call, t.look(f.no_terminator()))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await look(call, name)
        assert billed(call) == [True]


async def test_a_look_can_hang_or_be_answered_with_any_bytes() -> None:
    async with vendor() as call:
        odd = f.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        name = await finished(call, t.look(f.hang(), odd))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await look(call, name)
        assert (await look(call, name)).body == b"{}"
        assert billed(call) == [None]
        assert await state(call, name) == "completed"
        assert billed(call) == [True]
