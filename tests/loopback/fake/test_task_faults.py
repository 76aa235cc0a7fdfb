"""Each fault of a task as a client meets it, and whether it is billed."""

import asyncio

import aiohttp
import pytest

from nbp_async.fake import faults as f
from nbp_async.fake import task_faults as t
from tests.loopback.fake.api_client import ApiClient, billed, vendor
from tests.loopback.fake.task_client import cancel, poll, state, submit, task_of

pytestmark = pytest.mark.looptime(start=0)


async def finished(call: ApiClient, *faults: f.Fault, **fields: object) -> str:
    """The id of a task with these faults, after its time is over."""
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
async def test_a_disconnect_before_the_work_leaves_no_task(fault: f.Fault) -> None:
    async with vendor() as call:
        with pytest.raises(aiohttp.ClientError):
            await submit(call, "a cat", fault)
        await call.server.drain()
        assert call.server.stats().tasks == 0
        assert billed(call) == []


@pytest.mark.parametrize("fault", [f.disconnect(), f.reset(), f.cut_body(0.5), f.raw(b"HTTP/1")])
async def test_a_disconnect_after_the_work_leaves_a_billed_task(fault: f.Fault) -> None:
    async with vendor() as call:
        with pytest.raises(aiohttp.ClientError):
            await submit(call, "a cat", fault)
        await call.server.drain()
        assert billed(call) == [None]


async def test_a_submit_can_get_an_error_and_still_make_a_task() -> None:
    async with vendor(latency=100) as call:
        assert (await submit(call, "a cat", f.status(504, billed=True))).status == 504
        assert asyncio.get_running_loop().time() < 1
        await call.server.drain()
        assert billed(call) == [None]


async def test_a_submit_can_hang_while_its_task_runs() -> None:
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


async def test_polls_take_one_fault_each_and_the_result_is_read_at_last() -> None:
    async with vendor() as call:
        # aiohttp sends a GET whose connection was reset once more by itself
        resets = [f.reset(), f.reset()]
        later = [f.ok(), f.cut_body(0.5), f.slow_body(100)]
        name = await finished(call, t.look(f.status(500), *resets, *later))
        assert (await poll(call, name)).status == 500
        with pytest.raises(aiohttp.ClientError):
            await poll(call, name)
        assert billed(call) == [None]
        assert (await poll(call, name)).status == 200
        assert billed(call) == [True]
        with pytest.raises(aiohttp.ClientPayloadError):
            await poll(call, name)
        before = asyncio.get_running_loop().time()
        assert (await poll(call, name)).status == 200
        assert asyncio.get_running_loop().time() - before > 10
        assert billed(call) == [True]


async def test_a_result_counts_as_lost_until_it_arrives_whole() -> None:
    async with vendor() as call:
        name = await finished(call, t.look(f.cut_body(0.5)))
        with pytest.raises(aiohttp.ClientPayloadError):
            await poll(call, name)
        assert (billed(call), call.server.stats().lost) == ([False], 1)
        await poll(call, name)
        assert (billed(call), call.server.stats().lost) == ([True], 0)


async def test_polls_fail_at_random_the_same_way_in_every_run() -> None:
    async def statuses() -> list[int]:
        async with vendor(look_faults="500=0.3,429:2=0.2", seed=4) as call:
            name = await finished(call)
            reply = [(await poll(call, name)).status for _ in range(40)]
            assert billed(call) == [True]
        return reply

    first = await statuses()
    assert await statuses() == first
    assert {200, 429, 500} == set(first)


async def test_a_task_can_be_hidden_for_a_while_or_for_some_polls() -> None:
    async with vendor(latency=100) as call:
        name = await task_of(call, "a cat", t.hidden(seconds=7))
        other = await task_of(call, "a dog", t.hidden(looks=2))
        assert [(await poll(call, other)).status for _ in range(3)] == [404, 404, 200]
        assert (await cancel(call, name)).status == 404
        await asyncio.sleep(7)
        assert (await poll(call, name)).status == 200
        await call.server.drain()
        assert billed(call) == [None, None]


@pytest.mark.parametrize("paid", [True, False])
async def test_a_stuck_task_runs_for_ever(paid: bool) -> None:
    async with vendor(latency=100) as call:
        name = await finished(call, t.stuck(billed=paid))
        await asyncio.sleep(100_000)
        reply = (await poll(call, name)).json
        assert (reply["status"], reply["progress"], reply["result"]) == ("processing", 99, None)
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
        assert (await poll(call, name)).status == 404
        assert billed(call) == ([None] if paid else [])


async def test_a_state_can_have_an_undocumented_name() -> None:
    async with vendor() as call:
        name = await finished(call, t.unknown_state("archived", looks=1))
        reply = (await poll(call, name)).json
        assert (reply["status"], reply["result"]) == ("archived", None)
        assert await state(call, name) == "completed"
        assert billed(call) == [True]


async def test_a_poll_can_be_answered_with_another_task() -> None:
    async with vendor() as call:
        other = await task_of(call, "a dog")
        right = (await call.images("a cat")).json["data"]
        name = await finished(call, t.swapped("id"))
        reply = (await poll(call, name)).json
        assert (reply["task_id"], reply["result"]["data"]) == (other, right)
        name = await finished(call, t.swapped("result"))
        reply = (await poll(call, name)).json
        assert reply["task_id"] == name
        assert reply["result"]["data"] != right
        name = await finished(call, t.swapped())
        reply = (await poll(call, name)).json
        assert reply["task_id"] != name
        assert reply["result"]["data"] != right
        assert billed(call) == [None, True, True, False, False]


async def test_the_only_task_is_swapped_for_an_unknown_one() -> None:
    async with vendor() as call:
        name = await finished(call, t.swapped("id"))
        shown = (await poll(call, name)).json["task_id"]
        assert shown != name
        assert (await poll(call, shown)).status == 404
        assert billed(call) == [True]


@pytest.mark.parametrize("paid", [True, False])
async def test_a_task_fails_with_or_without_a_bill(paid: bool) -> None:
    async with vendor(latency=100) as call:
        name = await finished(call, t.failed("resource_exhausted", "no room", billed=paid))
        reply = (await poll(call, name)).json
        assert (reply["status"], reply["result"]) == ("failed", None)
        assert reply["error"] == {"code": "resource_exhausted", "message": "no room"}
        assert billed(call) == ([False] if paid else [])


async def test_a_blocked_prompt_fails_early_at_no_cost() -> None:
    async with vendor(latency=100) as call:
        name = await finished(call, f.blocked())
        assert asyncio.get_running_loop().time() == pytest.approx(10, abs=0.1)
        assert (await poll(call, name)).json["error"]["code"] == "content_policy_violation"
        assert billed(call) == []


async def test_a_fault_of_the_content_happens_to_the_result() -> None:
    async with vendor() as call:
        page = await poll(call, await finished(call, f.html_page()))
        assert page.headers["content-type"].startswith("text/html")
        none = await poll(call, await finished(call, f.no_image()))
        assert none.json["result"]["data"] == []
        link = await poll(call, await finished(call, f.bad_image("text"), response_format="url"))
        url = link.json["result"]["data"][0]["url"]
        assert (await call.get(url)).body.startswith(b"upstream error")
        assert billed(call) == [True, True, True]


async def test_random_task_faults_hit_the_same_jobs() -> None:
    prompts = [f"cat {n}" for n in range(40)]

    async def ends(order: list[str]) -> dict[str, str]:
        faults = {t.failed(): 0.2, t.stuck(): 0.1}
        async with vendor(faults=faults, seed=2) as call:
            names = {prompt: await task_of(call, prompt) for prompt in order}
            await call.server.drain()
            states = {prompt: await state(call, name) for prompt, name in names.items()}
            done = [prompt for prompt, shown in states.items() if shown == "completed"]
            assert sorted(entry.prompt for entry in call.server.bank.ledger) == sorted(done)
        return states

    first = await ends(prompts)
    assert await ends(prompts[::-1]) == first
    assert set(first.values()) == {"completed", "failed", "processing"}


async def test_task_faults_do_nothing_to_a_held_call() -> None:
    async with vendor() as call:
        call.server.script(t.stuck(), t.failed(), t.several(t.late(5), t.lost()))
        assert [(await call.images("a cat")).status for _ in range(3)] == [200] * 3
        assert billed(call) == [True] * 3


async def test_a_result_without_its_last_chunk_counts_as_delivered() -> None:
    async with vendor() as call:
        name = await finished(call, t.look(f.no_terminator()))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await poll(call, name)
        assert billed(call) == [True]


async def test_a_poll_can_hang_or_be_answered_with_any_bytes() -> None:
    async with vendor() as call:
        odd = f.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        name = await finished(call, t.look(f.hang(), odd))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await poll(call, name)
        assert (await poll(call, name)).body == b"{}"
        assert billed(call) == [None]
        assert await state(call, name) == "completed"
        assert billed(call) == [True]
