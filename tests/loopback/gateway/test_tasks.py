"""Tasks of a gateway: their states, money, events, and what becomes of them after a restart."""

import asyncio
import json
from pathlib import Path

import pytest

from nbp_async.fake import FakeServer, faults
from tests.loopback.gateway.site import Site, assert_books, site


async def test_a_task_goes_from_pending_to_completed_with_its_price(gateway: Site) -> None:
    anna = await gateway.user("anna")
    task = await anna.submit()
    assert task["status"] in ("pending", "running")
    assert task["reserved_usd"] > 0.13
    done = await anna.ended(task["id"])
    assert (done["status"], done["billing"], done["spent_usd"]) == ("completed", "yes", 0.134)
    assert done["reserved_usd"] == 0
    for path in ("status_url", "response_url"):
        async with gateway.session.get(
            done[path], headers={"Authorization": f"Bearer {anna.token}"}
        ) as response:
            assert response.status == 200
    await assert_books(gateway.vendor, anna)


async def test_another_user_s_task_is_not_there(gateway: Site) -> None:
    anna, bob = await gateway.user("anna"), await gateway.user("bob")
    operator = await gateway.user("otto", operator=True)
    task = await anna.submit("anna's secret")
    for method, path in (
        ("GET", ""),
        ("GET", "/status"),
        ("GET", "/response"),
        ("GET", "/events"),
        ("POST", "/cancel"),
        ("POST", "/retry"),
        ("POST", "/webhook"),
    ):
        status, answer, _ = await bob.ask(method, f"/v1/tasks/{task['id']}{path}")
        assert status == 404, path
        assert "secret" not in str(answer)
    assert (await bob.ask("GET", "/v1/tasks"))[1]["data"] == []
    assert (await bob.ask("GET", "/v1/operator"))[0] == 404
    assert (await operator.ask("GET", f"/v1/tasks/{task['id']}"))[0] == 200
    status, seen, _ = await operator.ask("GET", "/v1/operator")
    assert {user["name"] for user in seen["users"]} == {"anna", "bob", "otto"}
    for odd in ("task_999", "task_x", "task_", "7", "task_-1", "task_" + "9" * 30):
        assert (await anna.ask("GET", f"/v1/tasks/{odd}"))[0] == 404
    await anna.ended(task["id"])


async def test_a_cancelled_task_costs_nothing_in_the_queue_and_its_price_outside(
    tmp_path: Path,
) -> None:
    async with (
        FakeServer(latency=30.0, delivery="b64_json") as vendor,
        site(tmp_path / "g", vendor, in_flight=1) as gateway,
    ):
        anna = await gateway.user("anna")
        out = await anna.submit("out")
        while vendor.stats().requests == 0:
            await asyncio.sleep(0.01)
        waiting = [await anna.submit(f"waiting {n}") for n in range(3)]
        found = await anna.task(waiting[2]["id"])
        assert found["status"] == "pending"
        status, said, _ = await anna.ask("POST", f"/v1/tasks/{waiting[2]['id']}/cancel")
        assert (said["status"], said["cancel"]) == ("cancelled", "cancelled")
        assert said["can_retry"]
        status, said, _ = await anna.ask("POST", f"/v1/tasks/{out['id']}/cancel")
        assert (said["cancel"], said["may_still_cost_usd"]) == ("out", pytest.approx(0.1465, 0.01))
        assert said["status"] == "running"
        body = {"accept_price": True}
        status, said, _ = await anna.ask("POST", f"/v1/tasks/{out['id']}/cancel", body)
        assert status == 200
        ended = await anna.ended(out["id"])
        assert (ended["status"], ended["billing"]) == ("cancelled", "maybe")
        assert not ended["can_retry"]
        for task in waiting[:2]:
            await anna.ask("POST", f"/v1/tasks/{task['id']}/cancel", body)
            await anna.ended(task["id"])
        await assert_books(vendor, anna)


async def test_what_failed_for_nothing_is_made_again(gateway: Site) -> None:
    gateway.vendor.script(faults.status(400))
    anna = await gateway.user("anna")
    task = await anna.submit()
    failed = await anna.ended(task["id"])
    assert (failed["status"], failed["billing"], failed["can_retry"]) == ("failed", "no", True)
    assert failed["error"]["type"] == "InvalidRequestError"
    status, _, _ = await anna.ask("POST", f"/v1/tasks/{task['id']}/retry")
    assert status == 202
    assert (await anna.ended(task["id"]))["status"] == "completed"
    status, _, _ = await anna.ask("POST", f"/v1/tasks/{task['id']}/retry")
    assert status == 409
    await assert_books(gateway.vendor, anna)


async def test_a_budget_refuses_before_anything_is_sent(gateway: Site) -> None:
    anna = await gateway.user("anna", budget="0.30")
    bob = await gateway.user("bob")
    answers = await asyncio.gather(
        *(anna.ask("POST", "/v1/images/generations/async", {"prompt": f"p {n}"}) for n in range(12))
    )
    assert sorted(status for status, _, _ in answers) == [202] * 2 + [402] * 10
    refused = next(answer for status, answer, _ in answers if status == 402)
    assert refused["error"]["type"] == "budget_exceeded"
    assert refused["error"]["left_usd"] < 0.134
    task = await bob.submit()
    await bob.ended(task["id"])
    for status, answer, _ in answers:
        if status == 202:
            await anna.ended(answer["id"])
    account = await anna.account()
    assert (account["budgets"], account["spent_usd"]) == ({"all": 0.3}, 0.268)
    assert account["left_usd"] == pytest.approx(0.032)
    await assert_books(gateway.vendor, anna, bob)


async def test_events_tell_each_change_of_a_task_and_of_all(gateway: Site) -> None:
    anna, bob = await gateway.user("anna"), await gateway.user("bob")
    headers = {"Authorization": f"Bearer {anna.token}"}
    async with gateway.session.get(f"{gateway.url}/v1/events", headers=headers) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        mine, other = await anna.submit("mine"), await bob.submit("other")
        states = []
        while "completed" not in states:
            line = await asyncio.wait_for(stream.content.readline(), 30)
            if line.startswith(b"data: "):
                told = json.loads(line.removeprefix(b"data: "))
                assert told["id"] == mine["id"]
                states.append(told["status"])
    await bob.ended(other["id"])
    async with gateway.session.get(mine["events_url"], headers=headers) as stream:
        text = await asyncio.wait_for(stream.text(), 30)
    assert text.count("event: task") == 1
    assert '"completed"' in text


async def test_tasks_are_listed_page_by_page(gateway: Site) -> None:
    anna = await gateway.user("anna")
    made = [(await anna.submit(f"p {n}"))["id"] for n in range(5)]
    _, page, _ = await anna.ask("GET", "/v1/tasks?limit=3")
    _, rest, _ = await anna.ask("GET", f"/v1/tasks?limit=3&after={page['next']}")
    assert [task["id"] for task in (*page["data"], *rest["data"])] == made
    assert rest["next"] is None
    for task in made:
        await anna.ended(task)


async def test_a_full_queue_refuses_with_when_to_come_again(tmp_path: Path) -> None:
    async with (
        FakeServer(latency=30.0, delivery="b64_json") as vendor,
        site(tmp_path / "g", vendor, in_flight=1, max_queued=2) as gateway,
    ):
        anna = await gateway.user("anna")
        path = "/v1/images/generations/async"
        answers = [await anna.ask("POST", path, {"prompt": f"p {n}"}) for n in range(5)]
        assert [status for status, _, _ in answers].count(429) >= 2
        refused = next(answer for answer in answers if answer[0] == 429)
        assert refused[2]["Retry-After"] == "30"
        for status, task, _ in answers:
            if status == 202:
                body = {"accept_price": True}
                await anna.ask("POST", f"/v1/tasks/{task['id']}/cancel", body)
                await anna.ended(task["id"])
        await assert_books(vendor, anna)


async def test_what_was_queued_is_made_after_a_restart(tmp_path: Path, vendor: FakeServer) -> None:
    folder = tmp_path / "g"
    async with site(folder, vendor, in_flight=1) as gateway:
        anna = await gateway.user("anna")
        tasks = [await anna.submit(f"p {n}") for n in range(6)]
        await anna.ended(tasks[0]["id"])
    before = vendor.stats().images
    assert before < 6
    async with site(folder, vendor) as gateway:
        anna.site = gateway
        for task in tasks:
            assert (await anna.ended(task["id"]))["status"] == "completed"
        assert vendor.stats().images == 6
        await assert_books(vendor, anna)
