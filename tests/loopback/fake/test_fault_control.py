"""Faults that a test in another language orders: over HTTP, by a header, or in the prompt."""

from typing import Any

import pytest

from nbp_async.fake import spawn
from tests.loopback.fake.api_client import ApiClient, vendor


async def order(call: ApiClient, method: str = "POST", **body: Any) -> Any:
    url = f"{call.server.base_url}/__faults__"
    async with call.session.request(method, url, json=body or None) as answer:
        return answer.status, await answer.json()


async def test_faults_are_ordered_shown_and_forgotten_over_http() -> None:
    async with vendor() as call:
        await order(call, faults=["503", {"status": 418, "body": {"tea": True}}])
        await order(call, faults=["429:5"], match="dog")
        status, shown = await order(call, "GET")
        assert status == 200
        assert shown["unplayed"] == call.server.unplayed == 3
        assert [(one["fault"], one["match"]) for one in shown["faults"]] == [
            ("503", None),
            ("418", None),
            ("429:5.0", "dog"),
        ]
        dog = await call.images("a dog")
        assert (dog.status, dog.headers["retry-after"]) == (429, "5")
        assert (await call.images("a cat")).status == 503
        tea = await call.images("a cat")
        assert (tea.status, tea.json) == (418, {"tea": True})
        await order(call, faults=["reset", "503"])
        assert (await order(call, "DELETE"))[1]["unplayed"] == 0
        assert (await call.images("a cat")).status == 200
        assert call.server.bank.images == 1


async def test_faults_of_downloads_are_ordered_over_http() -> None:
    async with vendor() as call:
        link = await call.link("a cat")
        await order(call, faults=["404"], download=True)
        assert [(await call.get(link)).status for _ in range(2)] == [404, 200]


@pytest.mark.parametrize(
    "body", [{}, {"faults": ["none"]}, {"faults": "503"}, {"faults": [], "who": 1}, {"faults": [7]}]
)
async def test_an_order_that_cannot_be_read_is_refused(body: dict[str, Any]) -> None:
    async with vendor() as call:
        status, error = await order(call, **body)
        assert status == 400
        assert error["error"]["message"]
        assert not call.server.unplayed


async def test_a_request_names_its_fault_in_a_header() -> None:
    async with vendor() as call:
        url, body = f"{call.server.openai_url}/images/generations", {"prompt": "a cat"}
        bearer = {"Authorization": f"Bearer {call.server.key}"}
        named = [await call.post(url, body, **bearer, **{"x-fake-fault": "503"}) for _ in range(2)]
        wrong = await call.post(url, body, **bearer, **{"x-fake-fault": "nothing"})
        assert [reply.status for reply in named] == [503, 503]
        assert wrong.status == 400
        assert "no fault 'nothing'" in wrong.json["error"]["message"]
        assert (await call.post(url, body, **bearer)).status == 200


async def test_a_prompt_names_its_faults_one_each_time_that_it_is_sent() -> None:
    async with vendor() as call:
        replies = [await call.images("a cat [fault:503,ok,429:2]") for _ in range(4)]
        assert [reply.status for reply in replies] == [503, 200, 429, 200]
        assert (await call.images("a dog")).status == 200
        assert call.server.bank.images == 3


async def test_a_server_in_a_process_of_its_own_takes_orders_too() -> None:
    async with await spawn(latency=0) as server:
        with pytest.raises(ValueError, match="no fault"):
            await server.script("nothing")
        await server.script("503", match="cat")
        assert not (await server.stats()).requests
